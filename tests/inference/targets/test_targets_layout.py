"""Layouts: every number of a position belongs to exactly one tensor, and views are views."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.targets.layout import Layout, interleaved, plain

SHAPES: dict[str, tuple[int, ...]] = {
    "a.weight": (3, 4),
    "a.bias": (3,),
    "conv.weight": (2, 3, 2, 2),
    "conv.bias": (2,),
    "scalar": (),
    "b.bias": (5,),
    "b.weight": (5, 2),
    "odd.weight": (4, 3),
    "odd.bias": (3,),
    "bare.weight": (2, 2),
}


def tensors(chains: int | None = None) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lead = () if chains is None else (chains,)
    return {name: torch.randn((*lead, *shape), generator=generator) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("make", [plain, interleaved])
def test_every_number_has_one_place(make: Callable[[dict[str, Tensor]], Layout]) -> None:
    layout = make(tensors())
    assert list(layout.places) == list(SHAPES)
    flat = torch.zeros(2, layout.size)
    for view in layout.views(flat).values():
        view.add_(1)
    assert torch.equal(flat, torch.ones(2, layout.size))
    assert layout.size == sum(tensor.numel() for tensor in tensors().values())


@pytest.mark.parametrize("make", [plain, interleaved])
def test_gather_and_views_are_inverse(make: Callable[[dict[str, Tensor]], Layout]) -> None:
    layout = make(tensors())
    given = tensors(chains=3)
    views = layout.views(layout.gather({**given, "a buffer": torch.zeros(7)}, torch.float32))
    assert all(torch.equal(views[name], given[name]) for name in SHAPES)


def test_views_of_a_part_of_a_matrix() -> None:
    """Groups of chains are slices of larger matrices, with an offset and strides of their own."""
    layout = interleaved(tensors())
    large = torch.arange(5.0 * (layout.size + 2)).reshape(5, -1)
    part = large[1:4, 1 : 1 + layout.size]
    views = layout.views(part)
    copied = layout.views(part.clone())
    assert all(torch.equal(views[name], copied[name]) for name in SHAPES)


def test_interleaved_matrices_have_their_bias_last() -> None:
    layout = interleaved(tensors())
    given = tensors(chains=1)
    flat = layout.gather(given, torch.float32)
    for name in ("a", "b"):  # b's bias comes before its weight
        place = layout.places[f"{name}.weight"]
        out, entering = place.shape
        matrix = flat[:, place.offset : place.offset + out * (entering + 1)].view(out, entering + 1)
        assert torch.equal(matrix[:, :-1], given[f"{name}.weight"][0])
        assert torch.equal(matrix[:, -1], given[f"{name}.bias"][0])
    for name in ("conv.weight", "odd.weight", "odd.bias", "bare.weight"):
        assert layout.places[name].strides == plain(tensors()).places[name].strides


def test_what_does_not_fit_is_refused() -> None:
    layout: Layout = plain(tensors())
    given = tensors(chains=2)
    with pytest.raises(InputError, match=r"a\.bias is missing"):
        layout.gather({name: tensor for name, tensor in given.items() if name != "a.bias"}, torch.float32)
    with pytest.raises(InputError, match=r"a\.weight has shape \[3, 4\]"):
        layout.gather({**given, "a.weight": torch.zeros(3, 4)}, torch.float32)
    with pytest.raises(InputError, match=r"\[2, 3\] chains"):
        layout.gather({**given, "a.weight": torch.zeros(3, 3, 4)}, torch.float32)
