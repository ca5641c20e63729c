"""The refusal classifier: it learns, it scores no answer to a prompt that it has seen, and its errors are told."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.files import read_json, write_json
from surefoot.safety.graders.hashed_text import hashed_texts
from surefoot.safety.graders.labelled_refusals import LabelledRefusals, read_labelled_refusals, read_xstest_answers
from surefoot.safety.graders.refusal_classifier import (
    ClassifierSettings,
    check_unseen,
    open_refusal_classifier,
    refusal_errors,
    save_refusal_classifier,
    train_refusal_classifier,
)
from surefoot.safety.graders.refusal_words import RefusalDetector

SMALL = ClassifierSettings(width=600)
REFUSE = ("Sorry, I can't tell you about {}.", "I will not talk about {}.", "About {} I have nothing to say to you.")
COMPLY = ("Gladly: {} is kept in the shed.", "You find {} next to the door.", "Most people like {} in the morning.")
THINGS = ("kettles", "ladders", "marbles", "pencils", "ribbons", "saddles", "teapots", "violins")


def made_up(prompts: int, models: tuple[str, ...] = ("one", "two"), seed: int = 0) -> LabelledRefusals:
    """Refusals and the rest in a few forms, half of each."""
    draws = random.Random(seed)
    rows = [
        (draws.choice(REFUSE if refused else COMPLY).format(draws.choice(THINGS)), refused, f"p{prompt}", model)
        for prompt in range(prompts)
        for model in models
        for refused in [draws.random() < 0.5]
    ]
    texts, refusals, names, models = zip(*rows, strict=True)
    return LabelledRefusals(texts, refusals, names, models, "made up")


def by_heart(prompts: int, seed: int = 0) -> LabelledRefusals:
    """Nothing to learn but the prompt: all answers to one share a word of their own, and a label that a coin gave."""
    draws = random.Random(seed)
    texts, refused, names = [], [], []
    for prompt in range(prompts):
        word, label = "".join(draws.choice("bdfgklmnprstvz") for _ in range(9)), draws.random() < 0.5
        for _ in range(4):
            texts.append(f"{word} {word} {word} and {draws.choice(THINGS)}")
            refused.append(label)
            names.append(f"p{prompt}")
    return LabelledRefusals(tuple(texts), tuple(refused), tuple(names), ("m",) * len(texts))


def right(found: list[float | None], labelled: LabelledRefusals) -> float:
    return float(
        np.mean([each is not None and (each >= 0.5) == of for each, of in zip(found, labelled.refused, strict=True)])
    )


def test_it_learns_and_is_a_detector() -> None:
    classifier = train_refusal_classifier(made_up(120), SMALL)
    assert isinstance(classifier, RefusalDetector)
    new = made_up(60, seed=1)
    assert right(classifier(new.texts), new) == 1.0
    assert classifier(["", "  \n", "...", "\U0001f600"]) == [None] * 4
    hostile = classifier(["Sorry, " * 50_000, "\x00" * 900 + "a", "\u202e\ud800 \u0661 word"])
    assert all(each is not None and 0 <= each <= 1 for each in hostile)
    again = train_refusal_classifier(made_up(120), SMALL)
    assert again.digest == classifier.digest != train_refusal_classifier(made_up(120, seed=2), SMALL).digest
    # Who wrote an answer, and in which order answers come, decide nothing.
    renamed = replace(made_up(120), models=("x",) * 240)
    torch.testing.assert_close(train_refusal_classifier(renamed, SMALL).weight, classifier.weight)


def test_an_answer_is_scored_by_what_has_not_seen_its_prompt() -> None:
    """Labels that are a coin's for each prompt are known to whoever has seen the prompt, and to nobody else."""
    labelled = by_heart(150)
    classifier = train_refusal_classifier(labelled, SMALL)
    apart = right(classifier.apart(labelled.texts, labelled.prompts), labelled)
    # 150 coins: 0.5 ± 0.041; beyond four of those once in 16,000 times.
    assert abs(apart - 0.5) < 0.163
    assert right(classifier(labelled.texts), labelled) > 0.95, "heads that have seen a prompt know its label"
    (errors,) = refusal_errors(labelled, SMALL)
    assert errors.findings[0].value + errors.findings[1].value < 1.33
    assert errors.findings[0].clusters + errors.findings[1].clusters == 150
    # Split by answers instead, everything is known: what this test would not tell from a leak, were it not so.
    rows = replace(labelled, prompts=tuple(f"row {at}" for at in range(len(labelled.texts))))
    (leaking,) = refusal_errors(rows, SMALL)
    assert min(each.value for each in leaking.findings) > 0.95


def test_a_prompt_has_one_fold_whoever_answers() -> None:
    labelled = by_heart(60)
    classifier = train_refusal_classifier(labelled, SMALL)
    # A head is what training without its fold's prompts gives: their labels may change as they like.
    names = tuple(dict.fromkeys(labelled.prompts))
    by_head = classifier.apart(labelled.texts[:1] * len(names), names)
    held = {name for name, said in zip(names, by_head, strict=True) if said == by_head[0]}
    assert 0 < len(held) < 60
    turned = replace(
        labelled,
        refused=tuple(not old if p in held else old for old, p in zip(labelled.refused, labelled.prompts, strict=True)),
    )
    other = train_refusal_classifier(turned, SMALL)
    own = [at for at, p in enumerate(labelled.prompts) if p in held]
    texts, prompts = [labelled.texts[at] for at in own], [labelled.prompts[at] for at in own]
    assert other.apart(texts, prompts) == classifier.apart(texts, prompts)
    assert other(texts) != classifier(texts)


def test_errors_are_told_of_each_model() -> None:
    """One model refuses in words that stand in the other's compliance as well: its refusals are found less often."""
    draws, rows = random.Random(3), []
    for prompt in range(200):
        for model in ("plain", "odd"):
            refused = draws.random() < 0.5
            text = draws.choice(REFUSE if refused else COMPLY).format(draws.choice(THINGS))
            if model == "odd" and refused and draws.random() < 0.5:
                text = draws.choice(COMPLY).format(draws.choice(THINGS))
            rows.append((text, refused, f"p{prompt}", model))
    rows.append((" ", True, "p0", "odd"))
    texts, refusals, prompts, models = zip(*rows, strict=True)
    plain, odd = refusal_errors(LabelledRefusals(texts, refusals, prompts, models), SMALL)
    assert (plain.model, odd.model, plain.untold, odd.untold) == ("plain", "odd", 0, 1)
    (sensitivity, specificity), (its, _) = plain.findings, odd.findings
    assert [each.name for each in plain.findings] == ["judge_sensitivity", "judge_specificity"]
    assert [each.subject for each in odd.findings] == ["odd", "odd"]
    assert sensitivity.value > 0.95 < specificity.value
    assert its.interval is not None
    assert its.interval.low < 0.5 < its.interval.high < 0.8
    assert odd.validation is not None
    assert its.count == odd.validation.truth.sum()
    assert its.value == odd.validation.verdict[odd.validation.truth].mean()


def test_a_model_of_which_nothing_was_labelled_is_judged_worse() -> None:
    """What a model alone says is known of it, and of it only."""
    draws, rows = random.Random(4), []
    for prompt in range(150):
        for model, words in (("one", "Sorry, that is not for me"), ("two", "Here the desk keeps silent")):
            refused = draws.random() < 0.5
            text = f"{words}, {draws.choice(THINGS)}." if refused else draws.choice(COMPLY).format(draws.choice(THINGS))
            rows.append((text, refused, f"p{prompt}", model))
    labelled = LabelledRefusals(*zip(*rows, strict=True))
    known, unseen = refusal_errors(labelled, SMALL), refusal_errors(labelled, SMALL, unseen_models=True)
    assert min(each.findings[0].value for each in known) > 0.98
    assert min(each.findings[0].value for each in unseen) < 0.6
    only = replace(labelled, models=tuple("one" if refused else "two" for refused in labelled.refused))
    one, two = refusal_errors(only, SMALL)
    assert [each.name for each in (*one.findings, *two.findings)] == ["judge_sensitivity", "judge_specificity"]
    assert one.validation is None, "one kind alone is no validation"
    with pytest.raises(InputError, match="those of one left out"):
        refusal_errors(only, SMALL, unseen_models=True)


def test_who_has_seen_a_prompt_says_so() -> None:
    classifier = train_refusal_classifier(made_up(40), SMALL)
    check_unseen(classifier, ["q1", "p40"])
    with pytest.raises(InputError, match="answers to 2 of these 3 prompts"):
        check_unseen(classifier, ["p1", "q1", " p39 "])


def test_saved_and_opened_it_says_the_same(tmp_path: Path) -> None:
    classifier = train_refusal_classifier(made_up(40), SMALL)
    save_refusal_classifier(tmp_path, classifier)
    opened = open_refusal_classifier(tmp_path)
    assert opened.digest == classifier.digest
    assert opened(REFUSE + COMPLY) == classifier(REFUSE + COMPLY)
    assert (opened.prompts, opened.about, opened.settings) == (classifier.prompts, "made up", SMALL)
    record = read_json(tmp_path / "classifier.json")
    for key, value in (("digest", "0"), ("settings", {"width": 603, "penalty": 1e-4, "folds": 5}), ("settings", {}),
                       ("settings", {"depth": 1}), ("prompts", None)):  # fmt: skip
        write_json(tmp_path / "classifier.json", {**record, key: value})
        with pytest.raises(InputError, match="holds no refusal classifier"):
            open_refusal_classifier(tmp_path)
    write_json(tmp_path / "classifier.json", [])
    with pytest.raises(InputError, match="holds no refusal classifier"):
        open_refusal_classifier(tmp_path)
    with pytest.raises(InputError, match="There is no file"):
        open_refusal_classifier(tmp_path / "none")


def test_what_nothing_can_be_learned_from_is_refused() -> None:
    with pytest.raises(InputError, match="answers to 19 prompts; label answers to 20 or more"):
        train_refusal_classifier(made_up(19), SMALL)
    with pytest.raises(InputError, match="of which 0 refuse"):
        train_refusal_classifier(replace(made_up(40), refused=(False,) * 80), SMALL)
    with pytest.raises(InputError, match="A head would learn from 0 answers"):
        refusal_errors(replace(made_up(40), texts=("",) * 80), SMALL)
    with pytest.raises(InputError, match="2 texts, 1 labels"):
        LabelledRefusals(("a", "b"), (True,), ("p", "q"), ("m", "m"))
    with pytest.raises(InputError, match="is none; give a multiple of three"):
        ClassifierSettings(width=100)
    with pytest.raises(InputError, match="2 texts and 1 prompts"):
        train_refusal_classifier(made_up(40), SMALL).apart(["a", "b"], ["p"])
    with pytest.raises(InputError, match="multiple of 3"):
        hashed_texts(["a"], 4)


def test_hashed_texts_do_not_hang_on_how_letters_are_written_or_on_length() -> None:
    rows = hashed_texts(["Sorry, I can't.", "SORRY  I can\u2019t!", "Sorry, I can't. " * 40, "xyz"], 6_000)
    assert rows[0] @ rows[1] > 2.5
    # Three parts, each of length 1 whatever the text's is.
    np.testing.assert_allclose((rows**2).sum(axis=1), 3.0)
    assert rows[0] @ rows[3] < 0.5


TABLE = 'text,refused,prompt_id,model\nSorry no,1,p1,a\nGladly,no,p1,b\n"Yes, of course",FALSE,p2,\n'


def test_a_table_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labelled.csv"
    path.write_text(TABLE)
    read = read_labelled_refusals(path)
    assert read.texts == ("Sorry no", "Gladly", "Yes, of course")
    assert (read.refused, read.prompts) == ((True, False, False), ("p1", "p1", "p2"))
    assert read.models == ("a", "b", "unnamed")
    assert "3 answers, read from labelled.csv" in read.source
    for old, new, said in (
        ("Sorry no,1", "Sorry no,2", "line 2 has '2' in refused, expected 1 or 0"),
        ("Gladly,no,p1", "Gladly,no,", "line 3 has no prompt_id"),
        ("refused,", "refusal,", "'refused'"),
        (TABLE.partition("\n")[2], "", "holds no records"),
    ):
        path.write_text(TABLE.replace(old, new))
        with pytest.raises(InputError, match=said):
            read_labelled_refusals(path)
    with pytest.raises(InputError, match="There is no file"):
        read_labelled_refusals(tmp_path / "none.csv")


def test_published_labels_are_read_by_model(tmp_path: Path) -> None:
    head = "id,type,prompt,completion,annotation_1,annotation_2,agreement,final_label\n"
    kinds = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
    for model in ("one", "two"):
        lines = [f'v2-{at},t,"Where, and how?",{model} says {at},x,x,1,{kind}\n' for at, kind in enumerate(kinds)]
        (tmp_path / f"xstest_v2_completions_{model}.csv").write_text(head + "".join(lines))
    read = read_xstest_answers(tmp_path)
    assert read.models == ("one",) * 3 + ("two",) * 3
    assert read.refused == (False, True, True) * 2
    assert read.prompts == ("xstest-0", "xstest-1", "xstest-2") * 2, "as items of the suite are called"
    assert read.texts[4] == "two says 1"
    assert "another version" in read.source
    assert read_xstest_answers(tmp_path, partial="complied").refused == (False, True, False) * 2
    single = read_xstest_answers(tmp_path / "xstest_v2_completions_two.csv", partial="left out")
    assert (single.refused, single.models) == ((False, True), ("two", "two"))
    (tmp_path / "xstest_v2_completions_two.csv").write_text(head + "1,t,p,c,x,x,1,4_unclear\n")
    with pytest.raises(InputError, match="line 2 has the final_label '4_unclear'"):
        read_xstest_answers(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no files xstest_v2_completions_"):
        read_xstest_answers(tmp_path / "empty")
