import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import yaml
from card_examples import bare, extreme, finding, usual

from surefoot.card.card import Card
from surefoot.card.claims import Claim, judge_claims, verdict_of
from surefoot.card.diff import diff_cards, diff_page, diff_text
from surefoot.card.gate import EXIT_CODES, gate
from surefoot.card.junit import junit
from surefoot.card.markdown import markdown, pull_request
from surefoot.card.page import page
from surefoot.errors import InputError


def with_claims(card: Card, *bounds: float) -> Card:
    """The bare card claiming that its accuracy (90%, ends about 2 points away) is at least each bound."""
    judged = judge_claims([Claim("accuracy", "model", at_least=bound) for bound in bounds], card.findings)
    return replace(card, claims=judged, verdict=verdict_of(judged))


PASSED, UNDECIDED, FAILED = 0.5, 0.9, 0.99


def test_the_front_matter_is_what_the_hub_reads() -> None:
    card = usual()
    text = markdown(card)
    _, front, body = text.split("---\n", 2)
    read = yaml.safe_load(front)
    result = read["model-index"][0]["results"][0]
    assert read["model-index"][0]["name"] == card.title
    assert {"type", "name"} <= result["dataset"].keys()
    assert result["task"]["type"] == "image-classification"
    chosen = [each for each in card.findings if each.subject == card.chosen]
    assert [metric["value"] for metric in result["metrics"]] == [round(each.value, 6) for each in chosen]
    worst = next(metric for metric in result["metrics"] if metric["type"] == "worst_group_accuracy")
    assert worst["name"] == "Worst-group accuracy, 95% interval [88.2, 93.8]"
    assert body.startswith("\n# Digits with a shortcut\n")
    assert "tags" in read


def test_a_claim_on_a_difference_is_told_with_the_labels_of_both_models() -> None:
    card = usual()
    pair, words = "converged+dfr_train − converged", "CNN, converged → DFR, learns on repair rows − CNN, converged"
    labels = {each.name: each.label for each in card.subjects}
    claim = Claim("worst_group_accuracy", pair, at_least=0.05)
    claims = judge_claims([claim], card.differences, labels=labels)
    assert claims[0].sentence.startswith(f"Worst-group accuracy of “{words}” is ")
    card = replace(card, claims=claims, verdict=claims[0].status, sentence=claims[0].sentence)
    assert f"Worst-group accuracy of “{words}” is at least" in markdown(card)
    assert f"Worst-group accuracy of “{words}” is at least" in pull_request(card)
    assert f'<p class="whom">{words}</p>' in page(card)
    (case,) = ElementTree.fromstring(junit(card)).iter("testcase")
    assert case.attrib["name"].startswith(f"Worst-group accuracy of “{words}” is at least")
    assert case.attrib["classname"] == f"surefoot.{pair}"  # programs find it by its name
    for text in (markdown(card), pull_request(card), page(card), diff_text(diff_cards(card, usual()))):
        assert pair not in text


def test_markdown_tables_keep_their_columns_whatever_the_names() -> None:
    card = extreme()
    hostile = replace(
        card,
        subjects=(replace(card.subjects[0], label="a | b\nc <script> [x](https://example.org)"), *card.subjects[1:]),
    )
    for text in (markdown(hostile), pull_request(hostile), markdown(bare())):
        body = text.split("---\n", 2)[-1] if text.startswith("---") else text
        assert "<script" not in body
        assert "](" not in body.replace("\\](", "")
        table: list[int] = []
        for line in [*body.splitlines(), ""]:
            if line.startswith("|"):
                table.append(line.replace("\\|", "").count("|"))
            elif table:
                assert len(set(table)) == 1
                table = []


def test_a_pull_request_gets_verdict_claims_and_models() -> None:
    text = pull_request(usual())
    assert text.startswith("### ❔ Undecided: Digits with a shortcut\n")
    assert (
        "| ✅ Passed | Worst-group accuracy of “CNN, converged → DFR, learns on repair rows” is at least 85.0% |"
        in text
    )
    assert "| CNN, converged → DFR, learns on repair rows (chosen) | 91.0% [88.2, 93.8] |" in text
    assert len(text) < 5000


def test_junit_shows_an_undecided_claim_as_an_error() -> None:
    root = ElementTree.fromstring(junit(with_claims(bare(), PASSED, UNDECIDED, FAILED)))
    counts = {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    assert counts.items() <= root.attrib.items()
    kinds = [[child.tag for child in case] for case in root.iter("testcase")]
    assert kinds == [["system-out"], ["error"], ["failure"]]
    assert root.find(".//error").attrib["type"] == "undecided"  # type: ignore[union-attr]


def test_junit_without_claims_is_not_green() -> None:
    card = replace(bare(), title="bell \x07 & <x>")
    root = ElementTree.fromstring(junit(card))
    assert root.attrib["errors"] == "1"
    assert root[0].attrib["name"] == "bell \ufffd & <x>"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ([(PASSED,)], "passed"),
        ([(PASSED,), (PASSED, PASSED)], "passed"),
        ([(PASSED,), ()], "undecided"),  # a card without claims never passes
        ([(PASSED, UNDECIDED)], "undecided"),
        ([(UNDECIDED,), (FAILED,), (PASSED,)], "failed"),
        ([(), (FAILED,)], "failed"),
    ],
)
def test_the_gate_fails_closed(claims: list[tuple[float, ...]], status: str) -> None:
    assert gate([with_claims(bare(), *bounds) for bounds in claims]) == status


def test_the_gate_trusts_no_written_verdict() -> None:
    card = with_claims(bare(), FAILED)
    painted = replace(card, verdict="passed", claims=(replace(card.claims[0], status="passed"),))
    assert gate([painted]) == "failed"
    assert gate([replace(card, verdict="passed", claims=())]) == "undecided"
    honest = with_claims(bare(), PASSED)
    assert gate([replace(honest, verdict="failed")]) == "failed"
    with pytest.raises(InputError, match="names the subject"):
        gate([replace(honest, claims=(replace(honest.claims[0], finding=None),))])
    raised = replace(honest.claims[0], finding=finding("accuracy", 0.99, 0.001, subject="model"))
    with pytest.raises(InputError, match=r"accuracy of model = 0\.99, which is not among its findings"):
        gate([replace(honest, claims=(raised,))])
    with pytest.raises(InputError, match="The gate was given no card; name at least one card"):
        gate([])
    assert EXIT_CODES == {"passed": 0, "failed": 10, "undecided": 11}


def test_a_card_does_not_differ_from_itself() -> None:
    card = usual()
    diff = diff_cards(card, replace(card, record=replace(card.record, created="later")))
    assert diff.same
    assert diff.same_rows
    assert diff.findings == ()
    assert diff.unchanged == len(card.findings) + len(card.differences)
    assert diff_text(diff) == f"The cards are the same: undecided, {diff.unchanged:,} findings.\n"


def test_cards_of_different_judge_rows_say_so() -> None:
    card = usual()
    other = diff_cards(card, replace(card, record=replace(card.record, judge_digest="0" * 64)))
    assert not other.same
    for text in (diff_text(other), diff_page(other)):
        assert "The cards judged different rows" in text


def test_changes_are_shown_side_by_side() -> None:
    before = with_claims(bare(), PASSED)
    moved = finding("accuracy", 0.6, 0.01, subject="model")
    other = finding("accuracy", 0.7, None, subject="model", slice="<new>")
    after = replace(
        before,
        findings=(moved, *before.findings[1:], other),
        verdict="failed",
        claims=judge_claims([Claim("accuracy", "model", at_least=0.7)], [moved]),
    )
    diff = diff_cards(before, after)
    assert [(each.slice, each.apart, each.before is None) for each in diff.findings] == [
        ("all", True, False),
        ("<new>", False, True),
    ]
    assert [(each.before, each.after) for each in diff.claims] == [("passed", None), (None, "failed")]
    text = diff_text(diff)
    assert "Verdict: passed → failed" in text
    assert "Accuracy of model             90.0% [87.7, 92.3]  60.0% [59.0, 61.0]  apart" in text
    html = diff_page(diff)
    assert "&lt;new&gt;" in html
    assert "<new>" not in html
    assert "intervals do not meet" in html
