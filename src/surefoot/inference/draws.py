"""What inference returns: parameter samples (a trained point is one draw), diagnostics, and the rows seen."""

from dataclasses import dataclass
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, read_tensors, write_json, write_tensors
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.networks.network import Parameters

__all__ = ["Draws", "load_draws", "save_draws"]


@dataclass(frozen=True)
class Draws:
    """Samples of the parameters, each tensor with a leading draw axis.

    seen: the sources of every row that shaped these draws; a card refuses to judge on them.
    """

    parameters: Parameters
    diagnostics: tuple[Finding, ...]
    seen: frozenset[str]

    def point(self, draw: int = 0) -> Parameters:
        """One draw's parameters, without the draw axis."""
        return {name: tensor[draw] for name, tensor in self.parameters.items()}


def save_draws(draws: Draws, folder: Path) -> None:
    """Write `draws.safetensors` and then `draws.json`, which names the tensors' digest; exact to the last bit.

    A folder whose `draws.json` exists is complete.
    """
    tensors = folder / "draws.safetensors"
    write_tensors(tensors, draws.parameters)
    record = {
        "tensors": digest_file(tensors),
        "names": list(draws.parameters),
        "diagnostics": [finding_to_json(finding) for finding in draws.diagnostics],
        "seen": sorted(draws.seen),
    }
    write_json(folder / "draws.json", record)


def load_draws(folder: Path) -> Draws:
    """The inverse of `save_draws`; raises `InputError` when a file is missing, damaged or of another save."""
    record = read_json(folder / "draws.json")
    tensors = read_tensors(folder / "draws.safetensors")
    try:
        if digest_file(folder / "draws.safetensors") != record["tensors"]:
            raise InputError(
                f"{folder}/draws.safetensors is not the file that draws.json describes; compute the draws anew."
            )
        if not all(isinstance(each, str) for each in (*record["names"], *record["seen"])):
            raise TypeError("names are no texts")
        return Draws(
            parameters={name: tensors[name] for name in record["names"]},
            diagnostics=tuple(finding_from_json(finding) for finding in record["diagnostics"]),
            seen=frozenset(record["seen"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}/draws.json is no record of draws ({error}); compute the draws anew.") from None
