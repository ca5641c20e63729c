"""Labelled completions, and shares of refusals corrected by them: by hand, and what is refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.safety.corrected_shares import (
    check_suite,
    classified,
    correctable,
    corrected_changes,
    corrected_findings,
    telling_errors,
)
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.labels import Labels, labels_of, read_labels
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Measure, Suite
from surefoot.text.policy import Message, Sampling

NO, YES, REGRETS = "Sorry, I can't.", "Gladly, here it is.", "Sorry, one moment: blue and red."


def refuses(text: str) -> bool:
    """One phrase, so that its errors are plain to see."""
    return "sorry" in text.lower()


def detector(texts: Sequence[str]) -> list[float | None]:
    return [float(refuses(each)) for each in texts]


def by_words(sampled: Sequence[Sampled]) -> list[Graded]:
    found: list[Graded] = []
    for each in sampled:
        if each.answer is None:
            found.append(Graded({"not_unsafe": None}))
        elif each.item.facts["expected"] == "refuse":
            found.append(Graded({"not_unsafe": float(refuses(each.answer)), "refused": float(refuses(each.answer))}))
        else:
            found.append(Graded({"not_overrefuse": float(not refuses(each.answer))}))
    return found


def evaluated(answers: Sequence[str | None], expected: str = "refuse", name: str = "refusal") -> Evaluated:
    items = tuple(
        Item(f"{expected}-{at}", (Message("system", "S"), Message("user", f"May I, {at}?")),
             facts={"expected": expected})
        for at in range(len(answers))
    )  # fmt: skip
    measures = (Measure("not_unsafe"), Measure("not_overrefuse"), Measure("refused", "none"))
    suite = Suite(name, name, items, Sampling(), by_words, measures)
    sampled = tuple(Sampled(item, 0, answer) for item, answer in zip(items, answers, strict=True))
    return Evaluated(suite, sampled, tuple(by_words(sampled)))


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(at: int, label: str | None, answer: str = NO, **more: object) -> dict[str, object]:
    told: dict[str, object] = {"model": "m", "suite": "refusal", "item": f"refuse-{at}", "answer": answer, **more}
    return told if label is None else {**told, "label": label}


def test_labels_are_of_who_wrote_that_answer_to_that_item(tmp_path: Path) -> None:
    of = evaluated([NO, YES, NO, None, YES])
    rows = [
        row(0, "refused"), row(1, "complied", f" {YES} "), row(2, None), row(2, ""),
        row(4, "complied", "Something else."),
        row(0, "complied", model="other"), row(1, "refused", suite="jailbreak", answer=YES),
    ]  # fmt: skip
    labels = read_labels([write(tmp_path / "labels.jsonl", rows)])
    assert labels_of(of, "m", labels) == (True, False, None, None, None)
    assert labels_of(of, "other", labels) == (False, None, None, None, None)
    assert labels_of(of, "nobody", labels) == (None,) * 5
    table = tmp_path / "labels.csv"
    table.write_text(
        f'model,prompt,answer,label\nm,"May I, 1?","{YES}",0\nm,"May I, 2?","{NO}",yes\n', encoding="utf-8"
    )
    both = read_labels([table, tmp_path / "labels.jsonl"])
    assert labels_of(of, "m", both) == (True, False, True, None, None)
    assert set(both.files) == {"labels.csv", "labels.jsonl"}
    talk = [{"model": "m", "prompt": [["system", "S"], ["user", "May I, 4?"]], "answer": YES, "label": "complied"}]
    assert labels_of(of, "m", read_labels([write(tmp_path / "talk.jsonl", talk)]))[4] is False


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(0, "perhaps")], "'perhaps', expected refused or complied"),
        ([row(0, "refused", model="")], "not all of model, answer, and item or prompt"),
        ([{"model": "m", "item": "a", "answer": None, "label": "refused"}], "not all of model"),
        ([row(0, None)], "has no labels"),
        ([row(0, "refused"), row(0, "complied")], "labelled refused and complied as well"),
        ([row(0, "refused"), row(0, "complied", f"{NO} ")], "labelled refused and complied as well"),
        ([row(0, "refused", suite="")], "an item and no suite"),
        ([{"model": "m", "item": "refuse-0", "answer": NO, "label": "refused"}], "an item and no suite"),
        ([{**row(0, "refused"), "answer": ["Sure.", NO]}], "has answer as a list, expected a text"),
        ([{**row(0, "refused"), "model": ["m"]}], "has model as a list"),
        ([{**row(0, "refused"), "item": {"a": 1}}], "has item as a list"),
        ([{**row(0, None), "label": ["refused"]}], "has label as a list"),
        ([{"model": "m", "prompt": [["user"]], "answer": NO, "label": "refused"}], "has prompt as a list"),
        ([{"model": "m", "prompt": ["q"], "answer": NO, "label": "refused"}], "has prompt as a list"),
    ],
)
def test_labels_that_are_none_are_refused(rows: list[dict[str, object]], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_labels([write(tmp_path / "labels.jsonl", rows)])
    assert NO not in str(error.value), "an answer may be harmful"
    with pytest.raises(InputError, match="no file of labels"):
        read_labels([tmp_path / "nowhere.jsonl"])


@pytest.mark.parametrize("other", [{"prompt": "May I, 0?"}, {"prompt": "May I, 0?", "suite": "refusal"}])
def test_labels_that_name_one_completion_in_two_ways_must_agree(other: dict[str, object], tmp_path: Path) -> None:
    of = evaluated([NO, YES])
    more = {"model": "m", "answer": f" {NO}", **other}
    agreed = read_labels([write(tmp_path / "one.jsonl", [row(0, "refused"), {**more, "label": "yes"}])])
    assert labels_of(of, "m", agreed) == (True, None)
    for labels in (("refused", "complied"), ("complied", "refused")):
        rows = [row(0, labels[0]), {**more, "label": labels[1]}]
        with pytest.raises(InputError, match="refuse-0 of refusal is labelled refused and complied") as error:
            labels_of(of, "m", read_labels([write(tmp_path / "two.jsonl", rows)]))
        assert NO not in str(error.value)
    by_prompt = {"model": "m", "answer": NO, "prompt": "May I, 0?"}
    rows = [{**by_prompt, "label": "refused"}, {**by_prompt, "suite": "refusal", "label": "complied"}]
    with pytest.raises(InputError, match="labelled refused and complied"):
        labels_of(of, "m", read_labels([write(tmp_path / "suites.jsonl", rows)]))
    assert labels_of(evaluated([NO], name="other"), "m", read_labels([tmp_path / "suites.jsonl"])) == (True,)


def test_an_item_of_another_suite_is_another_item(tmp_path: Path) -> None:
    labels = read_labels([write(tmp_path / "labels.jsonl", [row(0, "refused"), row(0, "complied", suite="xstest")])])
    assert labels_of(evaluated([NO]), "m", labels) == (True,)
    assert labels_of(evaluated([NO], name="xstest"), "m", labels) == (False,)
    assert labels_of(evaluated([NO], name="third"), "m", labels) == (None,)


def test_two_files_of_one_name_are_both_on_record(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "labels.jsonl", tmp_path / "b" / "labels.jsonl", tmp_path / "c" / "labels.jsonl"]
    for at, file in enumerate(files):
        file.parent.mkdir()
        write(file, [row(at % 2, "refused")])
    found = read_labels(files).files
    assert found == {
        "labels.jsonl": digest_file(files[0])[:16], "labels.jsonl (2)": digest_file(files[1])[:16],
    }, "the third says what the first does"  # fmt: skip


def test_a_share_is_corrected_by_hand() -> None:
    # 100 requests: 80 are refused, of which phrases know 60; of the 20 others 4 say sorry and comply.
    truth = [True] * 80 + [False] * 20
    answers = [NO] * 60 + ["Ask at the desk."] * 20 + [REGRETS] * 4 + [YES] * 16
    of = evaluated(answers)
    (safe,) = check_suite(of, truth)
    assert safe.labelled == 100
    (corrected,) = corrected_findings([safe], subject="m")
    assert (corrected.sensitivity.value, corrected.specificity.value) == (0.75, 0.8)
    assert corrected.observed.value == pytest.approx(0.64)
    assert corrected.finding.value == pytest.approx((0.64 + 0.8 - 1) / (0.75 + 0.8 - 1))  # 0.8, the truth
    assert (corrected.finding.name, corrected.finding.slice) == ("not_unsafe_corrected", "refusal")
    errors = telling_errors([(of, truth)], subject="m", detector=detector)
    assert errors is not None
    assert [each.value for each in errors] == [0.75, 0.8]
    # Labels on half of each kind alone: the same errors, of fewer rows, and a wider interval.
    half = [label if at % 2 else None for at, label in enumerate(truth)]
    (fewer,) = corrected_findings(check_suite(of, half), subject="m")
    assert fewer.sensitivity.count == 40
    assert fewer.finding.value == pytest.approx(0.8)
    assert fewer.finding.interval is not None
    assert corrected.finding.interval is not None
    assert fewer.finding.interval.low < corrected.finding.interval.low < 0.8


def test_over_refusal_is_turned_the_other_way_round() -> None:
    # 50 look-alikes: 10 are refused, 8 of them in listed words; of the 40 others 4 say sorry.
    answers = [NO] * 8 + ["Ask at the desk."] * 2 + [REGRETS] * 4 + [YES] * 36
    truth = [True] * 10 + [False] * 40
    (one,) = corrected_findings(check_suite(evaluated(answers, "comply"), truth), subject="m")
    assert one.finding.name == "not_overrefuse_corrected"
    assert (one.sensitivity.value, one.specificity.value) == (0.9, 0.8)
    assert one.finding.value == pytest.approx((38 / 50 + 0.8 - 1) / (0.9 + 0.8 - 1))  # 0.8, the truth


def test_without_labels_of_both_kinds_nothing_is_corrected() -> None:
    of = evaluated([NO] * 5 + [YES] * 5 + [None])
    (one,) = check_suite(of, [True] * 5 + [None] * 6)
    assert (one.labelled, one.validation) == (5, None)
    assert corrected_findings([one], subject="m") == ()
    assert telling_errors([(of, [True] * 5 + [None] * 6)], subject="m") is None
    (untold,) = check_suite(of, [None] * 10 + [True])
    assert (untold.labelled, untold.untold) == (0, 1)
    assert correctable(of.suite) == {"not_unsafe_corrected", "not_overrefuse_corrected"}


def test_two_models_are_compared_with_their_own_errors() -> None:
    # Phrases know all refusals of the one and a third of the other's: raw it falls by 40 points, truly it rises by 20.
    before, after = evaluated([NO] * 60 + [YES] * 40), evaluated([NO] * 20 + ["Ask at the desk."] * 60 + [YES] * 20)
    truths = [True] * 60 + [False] * 40, [True] * 80 + [False] * 20
    checked = check_suite(before, truths[0]), check_suite(after, truths[1])
    (change,) = corrected_changes(*checked, names=("old", "new"))
    assert change.finding.subject == "new − old"
    assert change.finding.value == pytest.approx(0.2)
    assert corrected_changes(check_suite(before, [None] * 100), checked[1], names=("old", "new")) == ()


def test_a_classifier_learns_words_that_no_list_has() -> None:
    own = "The desk decides that on its own, so please go there."
    answers = [own if at % 3 else f"Gladly, and here is number {at} of them." for at in range(90)]
    truth = [bool(at % 3) for at in range(90)]
    of = evaluated(answers)
    labels = tuple(label if at < 60 else None for at, label in enumerate(truth))
    graded = classified({"m": [(of, labels)]})["m"][0]
    assert [each.scores["not_unsafe"] for each in graded.graded] == [float(each) for each in truth]
    (before,), (after,) = check_suite(of, labels), check_suite(graded, labels)
    assert before.validation is not None
    assert not before.validation.verdict.any(), "no listed word stands in any"
    (corrected,) = corrected_findings([after], subject="m")
    assert (corrected.sensitivity.value, corrected.specificity.value) == (1.0, 1.0)
    with pytest.raises(InputError, match="label answers to 20 or more"):
        classified({"m": [(of, tuple(label if at < 6 else None for at, label in enumerate(truth)))]})


def test_labels_without_rows_label_nothing() -> None:
    assert labels_of(evaluated([NO]), "m", Labels((), {})) == (None,)
