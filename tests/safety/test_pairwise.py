"""Pairwise judgements: the published figures, formulas, clusters, coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import wilson
from surefoot.safety.pairwise import Judgement, Outcome, Signs, cohens_h, pairwise_findings, pairwise_sign_test


def alone(*outcomes: Outcome) -> list[Judgement]:
    """One judgement of each conversation, each by a rater of its own."""
    return [Judgement(str(at), f"rater {at}", each) for at, each in enumerate(outcomes)]


def found(judgements: list[Judgement]) -> dict[str, Finding]:
    return {each.name: each for each in pairwise_findings(judgements, names=("new", "old"), source="raters")}


def ends(of: Finding) -> tuple[float, float]:
    assert of.interval is not None
    return of.interval.low, of.interval.high


def test_the_published_shares_give_one_h_by_half_ties_and_twice_as_much_without() -> None:
    """The card's 59.75/28.48/11.76 %, printed h .319: rounding of the shares does not bridge that last digit."""
    assert cohens_h(0.5975 + 0.1176 / 2, 0.5) == pytest.approx(0.318, abs=5e-4)
    assert cohens_h(0.5975, 0.2848) == pytest.approx(0.641, abs=5e-4)
    of = found(alone(*["win"] * 5975, *["loss"] * 2848, *["tie"] * 1176))
    assert of["cohens_h_half_ties"].value == pytest.approx(0.318, abs=5e-4)
    assert of["cohens_h_win_loss"].value == pytest.approx(0.641, abs=5e-4)
    assert of["pairwise_win"].value == pytest.approx(0.5975, abs=1e-4)
    assert {each.subject for each in of.values()} == {"new vs old"}


def test_h_is_that_of_the_arcsine_and_is_antisymmetric() -> None:
    for p, q in ((0.1, 0.7), (0.0, 1.0), (0.4, 0.4)):
        assert cohens_h(p, q) == pytest.approx(2 * (np.arcsin(p**0.5) - np.arcsin(q**0.5)))
        assert cohens_h(p, q) == -cohens_h(q, p)
    assert cohens_h(1.0, 0.0) == pytest.approx(np.pi)


def test_shares_of_independent_judgements_have_wilsons_intervals() -> None:
    of = found(alone(*["win"] * 30, *["tie"] * 6, *["loss"] * 14))
    expected = wilson(30.0, 50.0, 0.95)
    assert ends(of["pairwise_win"]) == pytest.approx((expected.low, expected.high))
    assert of["pairwise_win_less_loss"].value == pytest.approx(0.32)
    assert (of["pairwise_win"].count, of["pairwise_win"].clusters) == (50, 50)
    without = found(alone(*["win"] * 30, *["loss"] * 14))["cohens_h_half_ties"]
    share = wilson(30.0, 44.0, 0.95)
    assert ends(without) == pytest.approx((cohens_h(share.low, 0.5), cohens_h(share.high, 0.5)), rel=1e-6)


def test_without_ties_wins_decide_losses_and_so_the_second_h() -> None:
    """2 asin √w − 2 asin √(1 − w) rises with w, so its ends are those of w's interval; 4 asin √w − π."""
    of = found(alone(*["win"] * 30, *["loss"] * 14))["cohens_h_win_loss"]
    share = wilson(30.0, 44.0, 0.95)
    assert ends(of) == pytest.approx(tuple(4 * np.arcsin(np.sqrt([share.low, share.high])) - np.pi), rel=1e-6)


def test_exchanging_the_models_turns_every_number_round() -> None:
    random = np.random.default_rng(0)
    outcomes: list[Outcome] = [("win", "tie", "loss")[at] for at in random.choice(3, size=80, p=[0.5, 0.2, 0.3])]
    turned: dict[Outcome, Outcome] = {"win": "loss", "tie": "tie", "loss": "win"}
    one, other = found(alone(*outcomes)), found(alone(*(turned[each] for each in outcomes)))
    for name in ("pairwise_win_less_loss", "cohens_h_half_ties", "cohens_h_win_loss"):
        assert other[name].value == pytest.approx(-one[name].value)
        assert ends(other[name]) == pytest.approx((-ends(one[name])[1], -ends(one[name])[0]), abs=1e-9)
    assert ends(one["pairwise_win"]) == pytest.approx(ends(other["pairwise_loss"]))


def test_judgements_of_a_rater_or_a_conversation_hang_together() -> None:
    """Five raters who each say the same of 40 conversations are five, and so are five conversations with 40 raters."""
    said: list[Outcome] = ["win", "win", "win", "loss", "win"]
    by_rater = [Judgement(str(at), str(rater), said[rater]) for rater in range(5) for at in range(40)]
    by_conversation = [Judgement(each.rater, each.conversation, each.outcome) for each in by_rater]
    single = found(alone(*said))["pairwise_win"]
    for judgements in (by_rater, by_conversation):
        of = found(judgements)["pairwise_win"]
        assert of.clusters == 5
        assert ends(of)[1] - ends(of)[0] > 0.9 * (ends(single)[1] - ends(single)[0])


def test_signs_count_each_conversation_once() -> None:
    judged = [
        Judgement("a", "1", "win"), Judgement("a", "2", "win"), Judgement("a", "3", "loss"),
        Judgement("b", "1", "tie"), Judgement("b", "2", "win"),
        Judgement("c", "1", "win"), Judgement("c", "2", "loss"),
        Judgement("d", "1", "loss"),
    ]  # fmt: skip
    assert pairwise_sign_test(judged) == Signs(2, 1, 1.0)
    many = alone(*["win"] * 40, *["loss"] * 21, *["tie"] * 100)
    assert pairwise_sign_test(many).p_value == pytest.approx(stats.binomtest(40, 61).pvalue)


@pytest.mark.slow
def test_h_and_shares_are_covered() -> None:
    """1,000 sets of 60 conversations by six raters, each with a leaning of its own; conversations differ too."""
    random = np.random.default_rng(1)
    cut = 0.35

    def shares(size: int) -> np.ndarray:
        latent = 0.4 + random.normal(size=size) * np.sqrt(1 + 0.3**2 + 0.6**2)
        return np.array([(latent > cut).mean(), (latent < -cut).mean()])

    deviation = np.sqrt(1 + 0.3**2 + 0.6**2)
    win, loss = stats.norm.sf(cut, 0.4, deviation), stats.norm.cdf(-cut, 0.4, deviation)
    assert shares(200_000) == pytest.approx([win, loss], abs=0.006)
    truth = {
        "pairwise_win": win, "pairwise_win_less_loss": win - loss,
        "cohens_h_half_ties": cohens_h(win + (1 - win - loss) / 2, 0.5), "cohens_h_win_loss": cohens_h(win, loss),
    }  # fmt: skip
    hits = dict.fromkeys(truth, 0)
    for _ in range(1000):
        rater, conversation = 0.3 * random.normal(size=6), 0.6 * random.normal(size=60)
        judged: list[Judgement] = []
        for at in range(60):
            for who in range(6):
                latent = 0.4 + rater[who] + conversation[at] + random.normal()
                outcome: Outcome = "win" if latent > cut else "loss" if latent < -cut else "tie"
                judged.append(Judgement(str(at), str(who), outcome))
        of = found(judged)
        for name, value in truth.items():
            low, high = ends(of[name])
            hits[name] += low <= value <= high
    print(f"\npairwise: { {name: each / 1000 for name, each in hits.items()} }")
    assert min(hits.values()) >= stats.binom.ppf(1e-6, 1000, 0.95)


def test_what_are_no_judgements_is_refused() -> None:
    with pytest.raises(InputError, match="no judgements"):
        found([])
    with pytest.raises(InputError, match="judged the conversation a 2 times"):
        pairwise_sign_test([Judgement("a", "1", "win"), Judgement("a", "1", "loss")])
    with pytest.raises(InputError, match="two shares"):
        cohens_h(1.2, 0.5)


H = ("cohens_h_half_ties", "cohens_h_win_loss")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 8])
def test_h_of_a_handful_is_covered_whatever_comes_of_a_fair_coin(count: int) -> None:
    """Every outcome of `count` fair coins, and what it weighs: 0 is the truth."""
    outside = dict.fromkeys(H, 0.0)
    for wins in range(count + 1):
        of = found(alone(*["win"] * wins, *["loss"] * (count - wins)))
        for name in H:
            low, high = ends(of[name])
            outside[name] += math.comb(count, wins) / 2**count * (not low <= 0 <= high)
    assert max(outside.values()) <= 0.05, outside


@pytest.mark.parametrize("count", [10, 25])
def test_without_a_loss_the_second_h_is_that_of_wins_alone(count: int) -> None:
    """Nothing varies among wins alone, and yet losses are one less wins: 4 asin √w − π at the ends of w."""
    share = wilson(float(count), float(count), 0.95)
    low, high = ends(found(alone(*["win"] * count))["cohens_h_win_loss"])
    assert (low, high) == pytest.approx((4 * np.arcsin(np.sqrt(share.low)) - np.pi, np.pi), rel=1e-6)
    none = 2 * np.arcsin(np.sqrt(wilson(0.0, float(count), 0.95).high))
    assert ends(found(alone(*["tie"] * count))["cohens_h_win_loss"]) == pytest.approx((-none, none), rel=1e-6)


def test_a_cluster_and_a_conversation_of_one_name_are_two() -> None:
    judged = [
        Judgement("a", "1", "win", cluster="b"), Judgement("c", "1", "win", cluster="b"), Judgement("b", "1", "loss"),
        Judgement("d", "1", "win", cluster="conversation b"),
    ]  # fmt: skip
    assert pairwise_sign_test(judged)[:2] == (2, 1)
    assert pairwise_findings(judged, names=("a", "b"), source="r", raters_vary=False)[0].clusters == 3
