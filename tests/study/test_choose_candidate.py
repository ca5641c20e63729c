"""What a candidate learns from: nothing that it is held against."""

import torch

from surefoot.evidence.parts import part_rows
from surefoot.rows.rows import make_rows
from surefoot.study.work.candidate import _known, _scale_of  # pyright: ignore[reportPrivateUsage]


def test_what_is_held_out_has_no_part_in_the_scale() -> None:
    """Inputs of held-out rows thrown far away leave every centre and spread as they were."""
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(60, 3, generator=generator), torch.arange(60) % 2
    rows = make_rows(inputs, labels)
    known, later = part_rows(rows, 0.8, seed=4)
    thrown = inputs.clone()
    thrown[[int(name.rpartition(":")[2]) for name in later.ids]] *= 1000.0
    before, after = (_scale_of(_known(make_rows(each, labels), 0.8, 4), {"mlp": {}}) for each in (inputs, thrown))
    assert before is not None
    assert after is not None
    assert torch.equal(before.centre, after.centre)
    assert torch.equal(before.spread, after.spread)
    torch.testing.assert_close(before.spread, known.inputs[:].std(dim=0))
