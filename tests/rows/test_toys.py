"""The eighteen points: their count, and that two of them are the odd ones out."""

import torch

from surefoot.rows.toys import dirclip_toy


def test_one_point_of_each_class_lies_among_the_other_and_no_other_does() -> None:
    rows = dirclip_toy()
    inputs, targets = rows.inputs[:], rows.targets
    # An independent description: by the side of the best of all lines on a grid, exactly two points are wrong.
    angles, offsets = torch.linspace(0, torch.pi, 181), torch.linspace(-1.2, 1.2, 481)
    normals = torch.stack([angles.cos(), angles.sin()])
    above = (inputs @ normals)[:, :, None] > offsets
    wrong = (above != targets.bool()[:, None, None]).sum(dim=0)
    best = torch.minimum(wrong, len(rows) - wrong)
    assert int(best.min()) == 2
    angle, offset = divmod(int(best.argmin()), len(offsets))
    side = above[:, angle, offset] != targets.bool()
    odd = side if int(side.sum()) == 2 else ~side
    assert odd.nonzero().flatten().tolist() == [8, 17]


def test_the_points_are_those_published() -> None:
    """Checksums of the table in the notebook: Σ x₁ = 9.21, Σ x₂ = −8.48."""
    rows = dirclip_toy()
    assert rows.inputs[:].dtype == torch.float32
    assert rows.classes == ("A", "B")
    sums = rows.inputs[:].double().sum(dim=0)
    torch.testing.assert_close(sums, torch.tensor([9.21, -8.48]).double(), atol=1e-5, rtol=0)
