"""Coloured digits: exact counts, one use of each digit, and the shortcut's known effect on a linear model."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from surefoot.errors import InputError
from surefoot.rows.coloured import coloured_digits
from surefoot.rows.digits import halved, load_digits


@pytest.fixture(scope="module")
def roles():
    return coloured_digits()


def test_group_counts_are_exact_and_every_digit_is_used_once(roles):
    counts = {role: rows.groups.counts().tolist() for role, rows in roles.items()}
    assert counts == {
        "fit": [950, 50, 50, 950],
        "repair": [238, 12, 12, 238],
        "choose": [475, 25, 25, 475],
        "judge": [375, 375, 375, 375],
    }
    names = np.concatenate([rows.sources[:, 0] for rows in roles.values()])
    assert len(np.unique(names)) == len(names) == 5000


def test_pixels_labels_and_colours_agree_with_the_sources(roles):
    digits = load_digits()
    small = halved(digits)
    for rows in roles.values():
        place = torch.from_numpy(np.char.replace(rows.sources[:, 0], "digits:", "").astype(int))
        assert torch.equal(rows.targets, (digits.labels[place] >= 5).long())
        assert torch.equal(rows.inputs.sum(dim=1), small[place])
        colour = rows.groups.members.long().argmax(dim=1) % 2
        assert torch.equal(rows.inputs[torch.arange(len(rows)), colour], small[place])
        for group in range(4):
            own = digits.labels[place[rows.groups.members[:, group]]]
            used = torch.bincount(own, minlength=10).reshape(2, 5)[group // 2]
            assert int(used.max() - used.min()) <= 1


def test_a_linear_model_takes_the_shortcut(roles):
    """With C = 0.1 a logistic regression on the pixels gets .04 and .01 in the minority groups (.51 overall)."""

    def group_accuracy(view) -> list[float]:
        fit, judge = roles["fit"], roles["judge"]
        model = LogisticRegression(C=0.1, max_iter=300).fit(view(fit.inputs).numpy(), fit.targets.numpy())
        right = torch.from_numpy(model.predict(view(judge.inputs).numpy()) == judge.targets.numpy()).double()
        return [float(right[judge.groups.members[:, group]].mean()) for group in range(4)]

    coloured = group_accuracy(lambda inputs: inputs.flatten(1))
    assert max(coloured[1], coloured[2]) < 0.1
    assert min(coloured[0], coloured[3]) > 0.95
    assert min(group_accuracy(lambda inputs: inputs.sum(dim=1).flatten(1))) > 0.7


def test_fractions_and_refusals():
    rows = coloured_digits(fractions={"judge": 0.5, "fit": 0.5}, correlation=1.0, seed=3)
    assert {role: len(part) for role, part in rows.items()} == {"fit": 2500, "judge": 2500}
    assert rows["fit"].groups.counts().tolist() == [1250, 0, 0, 1250]
    with pytest.raises(InputError) as caught:
        coloured_digits(fractions={"fit": 0.5, "judge": 0.6})
    assert str(caught.value) == "The fractions (fit 0.5, judge 0.6) sum to 1.1; make them sum to 1."
    with pytest.raises(InputError, match=r"^correlation is 2\.0; give a share of rows between 0 and 1\.$"):
        coloured_digits(correlation=2.0)
