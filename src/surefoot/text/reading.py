"""Which reader a decoder has: machine code where there is some for it, torch elsewhere.

Both give the same logits to rounding. `reads_with` says which it is and why, so that a record can hold it.
"""

from jaxtyping import Int64
from torch import Tensor

from surefoot.text.decoder import Decoder
from surefoot.text.machine.compiled import why_not_machine
from surefoot.text.machine.reader import MachineReader
from surefoot.text.stepping import Reader

__all__ = ["reader_for", "reads_with"]


def reader_for(
    decoder: Decoder,
    prompts: Int64[Tensor, "prompts places"],
    starts: Int64[Tensor, " prompts"],
    count: int,
    more: int,
) -> Reader | MachineReader:
    """A reader of these prompts; see `stepping.Reader`. Its `kind` says which it is."""
    made = Reader if why_not_machine(decoder) else MachineReader
    return made(decoder, prompts, starts, count, more)


def reads_with(decoder: Decoder) -> str:
    """What reads this decoder on this machine, and why not machine code where it is torch.

    >>> from surefoot.text.decoder import Shape, build_decoder
    >>> reads_with(build_decoder(Shape(20, width=12, heads=2), seed=0)).startswith("torch: ")
    True
    """
    reason = why_not_machine(decoder)
    return "machine code" if reason is None else f"torch: {reason}"
