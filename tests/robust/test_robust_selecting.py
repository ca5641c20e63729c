"""Selection with and without group labels: which groups, which rows, what is said, what is refused."""

from dataclasses import replace

import pytest
import torch

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import Material, material_of, trial_of
from surefoot.robust.selecting import SELECTIONS, Selection, check_selection, selecting
from surefoot.rows.rows import Groups, make_rows, no_groups

# The base head reads the sign of the one feature; the last two rows of each class are its mistakes.
BASE = LinearHead(torch.tensor([[-1.0], [1.0]]), torch.zeros(2))
VALUES = torch.tensor([-1.0, -2.0, -3.0, 4.0, 5.0, 1.0, 2.0, -6.0, -7.0])[:, None]
TARGETS = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])
MEMBERS = torch.arange(9)[:, None] % 2 == torch.arange(2)


def choose(groups: Groups | None = None) -> Material:
    return material_of(make_rows(VALUES, TARGETS, classes=["a", "b"], groups=groups), "choose", "AFR")


def accuracies(selection: Selection, correct: torch.Tensor) -> tuple[float, float]:
    trial = trial_of({}, correct, selecting(choose(Groups(("p", "q"), MEMBERS)), BASE, selection, "AFR").groups)
    return trial.worst_group_accuracy, trial.mean_accuracy


def test_each_selection_takes_its_own_groups() -> None:
    rows = choose(Groups(("p", "q"), MEMBERS))
    named = {name: selecting(rows, BASE, name, "AFR").groups for name in SELECTIONS}
    assert {name: dict(zip(groups.names, groups.counts().tolist(), strict=True)) for name, groups in named.items()} == {
        "groups": {"p": 5, "q": 4},
        "classes": {"class a": 5, "class b": 4},
        "pseudo_groups": {
            "class a, base right": 3,
            "class a, base wrong": 2,
            "class b, base right": 2,
            "class b, base wrong": 2,
        },
        "mistakes": {"base right": 5, "base wrong": 4},
        "accuracy": {"all rows": 9},
    }
    # All but the named groups part the rows: each row is in exactly one.
    for name in SELECTIONS[1:]:
        assert named[name].members.sum(dim=1).tolist() == [1] * 9


def test_a_head_that_turns_every_decision_round_cannot_win_by_the_base_head_s_mistakes() -> None:
    right = BASE.logits(VALUES).argmax(dim=1) == TARGETS
    assert accuracies("mistakes", right) == (0.0, 5 / 9)
    assert accuracies("mistakes", ~right) == (0.0, 4 / 9)
    assert accuracies("mistakes", torch.ones(9, dtype=torch.bool))[0] == 1.0
    assert accuracies("accuracy", right)[0] == pytest.approx(5 / 9)
    assert accuracies("classes", right)[0] == 0.5
    assert accuracies("pseudo_groups", right)[0] == 0.0


@pytest.mark.parametrize("selection", SELECTIONS[1:])
def test_no_selection_but_groups_looks_at_group_labels(selection: Selection) -> None:
    bare, labelled = choose(), choose(Groups(("p", "q"), MEMBERS))
    without, with_labels = (selecting(rows, BASE, selection, "AFR") for rows in (bare, labelled))
    assert torch.equal(without.groups.members, with_labels.groups.members)
    assert without.notes == with_labels.notes
    assert without.notes[0].startswith("Settings were selected without group labels, by ")


def test_a_class_in_which_the_base_head_makes_no_mistake_has_no_pseudo_group_of_them() -> None:
    easy = choose()
    easy = Material("choose", easy.rows, easy.features.abs() * (2.0 * TARGETS - 1)[:, None], TARGETS)
    chosen = selecting(easy, BASE, "pseudo_groups", "AFR")
    assert chosen.groups.names == ("class a, base right", "class b, base right")
    assert chosen.notes[1] == "The base head is right on every choose row, so no other setting can look better than it."
    assert selecting(easy, BASE, "mistakes", "AFR").groups.names == ("base right",)


def test_rows_of_no_known_group_count_in_the_mean_alone_and_the_reader_is_told() -> None:
    known = MEMBERS.clone()
    known[3:] = False
    chosen = selecting(choose(Groups(("p", "q"), known)), BASE, "groups", "AFR")
    assert chosen.notes == ("6 of 9 choose rows are in no group: they did not count in the worst.",)
    correct = torch.arange(9) < 3
    trial = trial_of({}, correct, chosen.groups)
    assert (trial.worst_group_accuracy, trial.mean_accuracy) == (1.0, 3 / 9)
    assert selecting(choose(Groups(("p", "q"), MEMBERS)), BASE, "groups", "AFR").notes == ()


def test_what_cannot_be_selected_by_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        selecting(choose(no_groups(9)), BASE, "groups", "the contest")
    assert str(caught.value) == (
        "the contest was to be selected by groups, but the choose rows have none; name the attribute that makes "
        "groups, or set selection to one of classes, pseudo_groups, mistakes, accuracy."
    )
    one_class = choose()
    one_class = replace(one_class, targets=torch.zeros(9, dtype=torch.int64))
    for selection in ("classes", "pseudo_groups", "mistakes"):
        with pytest.raises(InputError, match=r"^The group 'class b' has no choose rows, and AFR needs some"):
            selecting(one_class, BASE, selection, "AFR")
    with pytest.raises(InputError) as caught:
        check_selection("worst")
    assert str(caught.value) == (
        "selection is 'worst'; choose one of groups, classes, pseudo_groups, mistakes, accuracy."
    )
