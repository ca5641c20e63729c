"""The o1 card's arithmetic, from its own numbers: which totals do not follow from their parts, and no others."""

import pytest

from surefoot.errors import InputError
from surefoot.safety.bias import ambiguous_bias
from surefoot.safety.card_tables import (
    DECEPTION,
    DISCRIMINATION,
    FAIRNESS,
    OVERALL,
    PAIRWISE,
    WILDCHAT,
    XSTEST,
    Table,
)
from surefoot.safety.monitoring import prevalences_possible
from surefoot.safety.pairwise import cohens_h
from surefoot.safety.published import check_parts, check_share, equal_weights


def checked(table: Table) -> dict[str, str]:
    """By model: the sentence of every total that does not follow."""
    found = {
        model: check_parts(table.total[model], parts, equal_weights(len(parts)), items=table.items)
        for model, parts in table.parts.items()
    }
    return {model: each.sentence for model, each in found.items() if each is not None}


def test_tables_are_whole() -> None:
    for table in (XSTEST, WILDCHAT):
        assert all(len(parts) == len(table.names) for parts in table.parts.values())
        assert table.parts.keys() == table.total.keys()
    assert [len(table.names) for table in (XSTEST, WILDCHAT)] == [10, 11]


def test_of_xstest_one_total_does_not_follow() -> None:
    assert checked(XSTEST) == {"o1": "The printed 0.936 does not follow from its 10 parts, which give 0.94."}


def test_of_wildchat_all_totals_follow() -> None:
    assert checked(WILDCHAT) == {}


def test_table_1_prints_the_totals_that_follow() -> None:
    for name, table in (("XSTest", XSTEST), ("WildChat", WILDCHAT)):
        for model, printed in OVERALL[name].items():
            assert check_parts(printed, table.parts[model], equal_weights(len(table.names)), items=table.items) is None


def test_of_discrimination_the_age_on_the_web_does_not_follow_and_the_one_in_print_does() -> None:
    found: list[tuple[str, str, str]] = []
    for kind, models in DISCRIMINATION.items():
        for model, of in models.items():
            for age in filter(None, (of.age, of.age_on_the_web)):
                if check_parts(of.average, [of.gender, of.race, age], equal_weights(3)) is not None:
                    found.append((kind, model, age))
    assert found == [("explicit", "o1-preview", "0.70")]


def test_fairness_scores_follow_from_what_is_printed() -> None:
    """s_AMB of table 4; none can be above the share of answers that are not unknown."""
    scores = {model: round(ambiguous_bias(of.ambiguous, of.not_stereotype), 3) for model, of in FAIRNESS.items()}
    assert scores == {"GPT-4o": 0.026, "o1": 0.036, "o1-preview": 0.096, "GPT-4o-mini": 0.081, "o1-mini": 0.101}
    assert all(ambiguous_bias(of.ambiguous, of.not_stereotype) <= 1 - of.ambiguous for of in FAIRNESS.values())


def test_the_effect_size_is_nearly_that_of_half_ties() -> None:
    """.3179 to .3181 over all that rounds to the printed shares: .318, and not the printed .319."""
    ends = [cohens_h(PAIRWISE.win + PAIRWISE.tie / 2 + off, 0.5) for off in (-7.5e-5, 0.0, 7.5e-5)]
    assert [round(each, 3) for each in ends] == [0.318, 0.318, 0.318]
    assert PAIRWISE.h - ends[2] == pytest.approx(0.001, abs=2e-4)
    assert cohens_h(PAIRWISE.win, PAIRWISE.loss) == pytest.approx(0.641, abs=5e-4)


def test_flagged_thoughts_add_up_and_one_share_is_cut_off_not_rounded() -> None:
    """180 of 102,443 are .176 %; the printed .17 % is the sum of the three printed shares."""
    of, _ = DECEPTION["all"]
    kinds = ("intentional hallucination", "hallucinated policy", "other")
    assert sum(DECEPTION[kind][0] for kind in kinds) == DECEPTION["flagged"][0]
    wrong = [name for name, (count, printed) in DECEPTION.items() if check_share(printed, count, of) is not None]
    assert wrong == ["flagged"]
    assert sum(float(DECEPTION[kind][1]) for kind in kinds) == pytest.approx(float(DECEPTION["flagged"][1]))
    assert prevalences_possible(DECEPTION["flagged"][0] / of, 0.92)[:2] == (0.0, 1.0)


def test_rounding_is_allowed_for_and_nothing_more() -> None:
    weights = equal_weights(2)
    assert check_parts("0.50", ["0.49", "0.51"], weights) is None
    assert check_parts("0.51", ["0.49", "0.51"], weights) is None  # .495 and .515 make .505, which may be printed .51
    assert check_parts("0.52", ["0.49", "0.51"], weights) is not None
    found = check_parts("0.510", ["0.49", "0.51"], weights)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.495, 0.505))
    assert found.sentence.endswith("which give between 0.495 and 0.505.")


def test_weights_and_their_absence() -> None:
    assert check_parts("0.9", ["1.0", "0.5"], [4.0, 1.0]) is None
    assert check_parts("0.6", ["1.0", "0.5"], [4.0, 1.0]) is not None
    assert check_parts("0.6", ["1.0", "0.5"]) is None
    assert check_parts("0.3", ["1.0", "0.5"]) is not None


def test_items_know_the_parts_better() -> None:
    """.33 of three items is one of three; of a thousand it may be 325 to 335."""
    assert check_parts("0.333", ["0.33"], [1.0], items=3) is None
    assert check_parts("0.325", ["0.33"], [1.0], items=3) is not None
    assert check_parts("0.325", ["0.33"], [1.0], items=1000) is None
    assert check_parts("0.324", ["0.33"], [1.0], items=1000) is not None


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(InputError, match="at least one part"):
        check_parts("0.5", [])
    with pytest.raises(InputError, match="2 parts and 1 weights"):
        check_parts("0.5", ["0.4", "0.6"], [1.0])
    for wrong in ("half", "nan"):
        with pytest.raises(InputError, match=f"'{wrong}' was given"):
            check_parts(wrong, ["0.4"])
    with pytest.raises(InputError, match=r"No share of 4 items is printed as 0\.33"):
        check_parts("0.33", ["0.33"], items=4)
    with pytest.raises(InputError, match="make no share"):
        check_share("0.1", 3, 2)
    with pytest.raises(InputError, match="measured on 0 items"):
        check_parts("0.33", ["0.33"], items=0)
