"""Machine code for decoders: logits of plain passes in float64, torch's draws, and nothing outside its arrays."""

from collections.abc import Callable, Generator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.small.sizes import Machine
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.machine import compiled as compiling
from surefoot.text.machine import reader as reading_module
from surefoot.text.machine.compiled import why_not_machine
from surefoot.text.machine.layout import BLOCK, TALL
from surefoot.text.machine.reader import MachineReader
from surefoot.text.policy import Sampling
from surefoot.text.reading import reader_for, reads_with
from surefoot.text.rollout import Rollout, roll
from surefoot.text.stepping import Reader
from surefoot.text.vocabulary import ANSWER, END, THINK

pytest.importorskip("llvmlite")
BASE = Shape(20)
if why_not_machine(build_decoder(BASE, 0)) is not None:
    pytest.skip("there is no machine code on this processor", allow_module_level=True)

SHAPES = (
    BASE,
    Shape(16, 32, 1, 2, 48),  # one layer, whole vectors of symbols
    Shape(37, 48, 3, 6),  # heads of half a vector; units that are no whole vectors
    Shape(5, 16, 1, 1, 8),  # as small as it gets
    Shape(100, 96, 2, 3, 100),  # heads of two vectors
    Shape(20, 96, 2, 12),  # more heads than are held at once
    Shape(20, 24, 2, 2, 20),  # heads of 12: vectors of four
    Shape(20, 64, 2, 4, positions="learned"),
)
WAYS = (Sampling(7, 20), Sampling(7, 20, 0.5), Sampling(7, 20, thinking=0), Sampling(7, 20, thinking=4))
LENGTHS = (18, 1, 7, 16, 17)


def prompts_of(shape: Shape, lengths: tuple[int, ...] = LENGTHS) -> tuple[list[list[int]], Tensor, Tensor]:
    """Prompts, and the same padded on the left, with how much."""
    generator = torch.Generator().manual_seed(3)
    prompts = [torch.randint(shape.symbols, (length,), generator=generator).tolist() for length in lengths]
    longest = max(lengths)
    padded = torch.tensor([[0] * (longest - len(each)) + each for each in prompts])
    return prompts, padded, torch.tensor([longest - len(each) for each in prompts])


def plainly(decoder: Decoder, texts: list[list[int]]) -> Tensor:
    """Logits after the last token of each text, by a whole pass in float64."""
    longest = max(map(len, texts))
    padded = torch.tensor([[0] * (longest - len(text)) + text for text in texts])
    starts = torch.tensor([longest - len(text) for text in texts])
    with torch.no_grad():
        return deepcopy(decoder).double()(padded, starts)[:, -1].float()


def livelier(shape: Shape, seed: int = 0) -> Decoder:
    """Larger weights than new ones, and scales that are not 1: attention then looks at single places."""
    decoder = build_decoder(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in decoder.named_parameters():
            if values.dim() == 1:
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            elif "queries" in name:
                values *= 1.5
    return decoder


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_logits_are_those_of_plain_passes(shape: Shape) -> None:
    check_logits(shape)


@pytest.mark.parametrize("machine", [Machine(bytes=32, registers=16), Machine(bytes=16, registers=32)], ids=str)
def test_logits_are_the_same_with_the_vectors_of_other_processors(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of AVX2 and of Neon, as far as this processor has them."""
    here = compiling.this_machine()
    assert here is not None
    if machine.bytes > here.bytes:
        pytest.skip("wider than this processor's")
    monkeypatch.setattr(compiling, "this_machine", lambda: machine)
    check_logits(BASE)


def check_logits(shape: Shape) -> None:
    """To 1e-5, through padding, 35 rows (a whole tile is of six), places beyond one vector, and rows that are left."""
    decoder, (texts, padded, starts) = livelier(shape), prompts_of(shape)
    assert (5 * 7) % TALL
    assert BLOCK < 5 * 7
    with torch.inference_mode():
        reader = reader_for(decoder, padded, starts, 7, 20)
        assert isinstance(reader, MachineReader)
        texts = [list(text) for text in texts for _ in range(7)]
        torch.testing.assert_close(reader.logits, plainly(decoder, texts), atol=1e-5, rtol=1e-5)
        generator = torch.Generator().manual_seed(0)
        for place in range(20):
            if place in (0, 9):
                kept = torch.randperm(len(texts), generator=generator)[: 29 if place == 0 else 5]
                reader.keep(kept)
                texts = [texts[row] for row in kept.tolist()]
            tokens = torch.randint(shape.symbols, (len(texts),), generator=generator)
            for text, token in zip(texts, tokens.tolist(), strict=True):
                text.append(token)
            logits = reader.read(tokens)
            if place in (0, 8, 9, 15, 16, 19):
                torch.testing.assert_close(logits, plainly(decoder, texts), atol=1e-5, rtol=1e-5)


def test_large_scores_and_gates_do_not_overflow() -> None:
    decoder = build_decoder(BASE, 0)
    with torch.no_grad():
        for block in decoder.blocks:
            block.queries_keys_values.weight *= 30.0  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]
            block.gate_up.weight *= 100.0  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]
    texts, padded, starts = prompts_of(BASE)
    expected = plainly(decoder, texts)
    found = MachineReader(decoder, padded, starts, 1, 1).logits
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)


def test_a_row_has_the_same_bits_alone() -> None:
    decoder, (_, padded, starts) = livelier(BASE), prompts_of(BASE)
    many, one = MachineReader(decoder, padded, starts, 7, 4), MachineReader(decoder, padded[2:3], starts[2:3], 1, 4)
    assert torch.equal(many.logits[14:15], one.logits)
    for token in (5, 9, 2):
        together = many.read(torch.full((35,), token))
        assert torch.equal(together[14:15], one.read(torch.tensor([token])))


def by_torch(monkeypatch: pytest.MonkeyPatch, decoder: Decoder, prompts: list[list[int]], way: Sampling) -> Rollout:
    with monkeypatch.context() as patch:
        patch.setattr("surefoot.text.rollout.reader_for", Reader)
        return roll(decoder, prompts, way, 5)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_same_seed_draws_the_tokens_that_torch_draws(way: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 35 rows, of which some end early; a chance within rounding of a boundary comes once in 10^3 such tests."""
    decoder, prompts = livelier(BASE, 1), prompts_of(BASE)[0]
    with torch.no_grad():
        decoder.head.weight[[THINK, ANSWER, END]] *= 1.5
    theirs, ours = by_torch(monkeypatch, decoder, prompts, way), roll(decoder, prompts, way, 5)
    assert 5 < int(theirs.ended.sum()) < 35
    assert torch.equal(ours.tokens, theirs.tokens)
    assert torch.equal(ours.sampled, theirs.sampled)
    assert torch.equal(ours.ended, theirs.ended)
    torch.testing.assert_close(ours.log_probabilities, theirs.log_probabilities, atol=1e-5, rtol=0.0)


def test_chances_at_the_edges_choose_symbols_that_have_a_chance() -> None:
    """0 the first that has one, the largest below 1 the last (and so does 1 itself); a forbidden symbol none."""
    decoder = build_decoder(BASE, 0)
    with torch.no_grad():
        decoder.head.weight.zero_()
        decoder.embed.weight[:, 0] = 3.0
        for block in decoder.blocks:
            block.out.weight.zero_()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
            block.down.weight.zero_()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        decoder.head.weight[[0, 1, 17, 18, 19], 0] = -1000.0
        decoder.head.weight[THINK, 0] = 1000.0
    reader = MachineReader(decoder, torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), 4, 1)
    chances = torch.tensor([[0.0], [0.5], [1 - 2**-53], [1.0]], dtype=torch.float64)
    said = reader.complete(Sampling(4, 1), chances)
    assert said.tokens[:, 0].tolist() == [THINK] * 4
    assert (said.logs == 0).all()
    barred = reader.complete(Sampling(4, 1, thinking=0), chances)
    assert barred.tokens[:, 0].tolist() == [2, 10, 16, 16]
    assert barred.logs[:, 0].exp().tolist() == pytest.approx([1 / 14] * 4, rel=1e-6)


@pytest.fixture
def two_threads() -> Generator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_threads_do_not_change_a_bit(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, prompts = livelier(BASE), prompts_of(BASE, LENGTHS * 3)[0]
    monkeypatch.setattr(reading_module, "WORTH_A_THREAD", 1)
    shared = roll(decoder, prompts, WAYS[0], 5)
    torch.set_num_threads(1)
    alone = roll(decoder, prompts, WAYS[0], 5)
    assert torch.equal(shared.tokens, alone.tokens)
    assert torch.equal(shared.log_probabilities, alone.log_probabilities)


class Guarded:
    """torch whose new tensors lie between guards, and hold NaN (or −1) where they are not said to hold anything."""

    FAR = 8192

    def __init__(self) -> None:
        self.rooms: list[tuple[Tensor, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(torch, name)
        makers = ("empty", "zeros", "ones", "full", "full_like", "arange", "cat")
        return self.maker(found, hold=name != "empty") if name in makers else found

    def maker(self, make: Callable[..., Tensor], *, hold: bool = True) -> Callable[..., Tensor]:
        def made(*given: Any, **named: Any) -> Tensor:
            return self.guard(make(*given, **named), hold=hold)

        return made

    def guard(self, tensor: Tensor, *, hold: bool = True) -> Tensor:
        size = tensor.numel() * tensor.element_size()
        room = torch.full((size + 2 * self.FAR + 64,), 0xFF, dtype=torch.uint8)
        start = self.FAR - (room.data_ptr() + self.FAR) % 64 + 64
        self.rooms.append((room, start, start + size))
        inside = room[start : start + size].view(tensor.dtype).view(tensor.shape)
        return inside.copy_(tensor) if hold else inside

    def check(self) -> int:
        for room, start, end in self.rooms:
            assert (room[:start] == 0xFF).all(), "written before an array"
            assert (room[end:] == 0xFF).all(), "written behind an array"
        return len(self.rooms)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_outside_the_arrays_is_read_or_written(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN lies all around and in what is not yet written: who reads it says NaN, who writes it is seen."""
    decoder, (prompts, padded, starts) = livelier(shape), prompts_of(shape)
    if shape.symbols < 6:
        prompts = [[each % 5 for each in prompt] for prompt in prompts]
    plain = roll(decoder, prompts, WAYS[3], 5)
    guarded, pack = Guarded(), reading_module.pack

    def packed(decoder: Decoder, layout: Any) -> Any:
        found = pack(decoder, layout)
        return type(found)(*map(guarded.guard, found))

    monkeypatch.setattr(reading_module, "pack", packed)
    monkeypatch.setattr(reading_module, "torch", guarded)
    again = roll(decoder, prompts, WAYS[3], 5)
    assert torch.equal(plain.tokens, again.tokens)
    assert torch.equal(plain.log_probabilities, again.log_probabilities)
    reader = MachineReader(decoder, padded, starts, 7, 20)
    for place in range(20):
        assert reader.read(torch.full((35,), place % shape.symbols)).isfinite().all()
    assert guarded.check() > 40


def test_what_lies_outside_is_refused() -> None:
    decoder, (_, padded, starts) = build_decoder(BASE, 0), prompts_of(BASE)
    reader = MachineReader(decoder, padded, starts, 1, 1)
    with pytest.raises(InputError, match="Tokens from 0 to 20 were given"):
        reader.read(torch.tensor([0, 1, 2, 3, 20]))
    with pytest.raises(InputError, match="place 1 of 1"):
        reader.read(torch.tensor([0, 1, 2, 3, 4]))
    with pytest.raises(InputError, match="3 tokens were given to 5 rows"):
        MachineReader(decoder, padded, starts, 1, 1).read(torch.tensor([0, 1, 2]))
    with pytest.raises(InputError, match="Tokens from -1"):
        MachineReader(decoder, padded - 1, starts, 1, 1)
    with pytest.raises(InputError, match="18 places and 111 to come are beyond the context of 128"):
        MachineReader(decoder, padded, starts, 1, 111)
    with pytest.raises(InputError, match="prompts of a token or more"):
        MachineReader(decoder, padded, starts + 1, 1, 1)
    chances = torch.zeros(5, 2, dtype=torch.float64)
    for wrong, way in ((chances, Sampling()), (chances[:4, :1], Sampling()), (chances[:, :1], Sampling(1, 1, 0.0))):
        with pytest.raises(InputError, match="were given to a reader of 5 rows and 1 places"):
            MachineReader(decoder, padded, starts, 1, 1).complete(way, wrong)


def test_decoders_that_do_not_fit_are_read_by_torch_and_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads_with(build_decoder(BASE, 0)) == "machine code"
    _, padded, starts = prompts_of(BASE)
    cases: tuple[tuple[Decoder, str], ...] = (
        (build_decoder(Shape(20, 12, 1, 2), 0), "heads have 6 numbers"),
        (build_decoder(BASE, 0).double(), "float64 on cpu"),
        (build_decoder(Shape(5000, 16, 1, 1), 0), "5,000 symbols"),
        (build_decoder(Shape(20, 512, 2, 4), 0), "weights, more than"),
    )
    for decoder, why in cases:
        assert why in reads_with(decoder)
        assert reads_with(decoder).startswith("torch: ")
        with pytest.raises(InputError, match=why):
            MachineReader(decoder, padded, starts, 1, 1)
    assert reader_for(cases[0][0], padded, starts, 1, 1).kind == "torch"
    monkeypatch.setattr(compiling, "compiler_is_installed", lambda: False)
    assert "llvmlite is not installed" in reads_with(build_decoder(BASE, 0))
    with pytest.raises(InputError, match="llvmlite is not installed"):
        MachineReader(build_decoder(BASE, 0), padded, starts, 1, 1)
    monkeypatch.setattr(compiling, "compiler_is_installed", lambda: True)
    monkeypatch.setattr(compiling, "this_machine", lambda: None)
    assert "multiply and add" in reads_with(build_decoder(BASE, 0))
    assert reader_for(build_decoder(BASE, 0), padded, starts, 1, 1).kind == "torch"


def test_both_readers_say_what_they_are() -> None:
    decoder, (_, padded, starts) = build_decoder(BASE, 0), prompts_of(BASE)
    assert MachineReader(decoder, padded, starts, 1, 1).kind.startswith("machine code, ")
    assert Reader(decoder, padded, starts, 1, 1).kind == "torch"
