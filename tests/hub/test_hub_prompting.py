"""Few-shot prompts: what is written, who is shown, what a known model must say, and calibration."""

from collections import Counter

import pytest
import torch
from language_examples import number, pair_model, random_model, some_table

from surefoot.errors import InputError
from surefoot.findings.predictions import predictions_for
from surefoot.hub.language import word_scores
from surefoot.hub.prompting import NO_SHOTS, Shots, Template, calibrated, choose_shots, said_by_prompting
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts
from surefoot.supervise.labels import WeakLabels, true_labels, weak_labels

TEMPLATE = Template((" no", " yes"), "", " Label :", " ")


def some_rows(count: int = 40, classes: int = 2) -> Rows:
    texts = tuple(f"a {' '.join(['fine'] * (row % 5))} film {row}" for row in range(count))
    names = tuple(f"c{class_}" for class_ in range(classes))
    return make_rows(Texts((texts,)), torch.arange(count) % classes, classes=names)


def weakly(rows: Rows, wrong: int) -> WeakLabels:
    """A supervisor that errs on the first rows."""
    said = rows.targets.clone()
    said[:wrong] = 1 - said[:wrong]
    soft = 0.9 * torch.nn.functional.one_hot(said, 2).float() + 0.05
    return weak_labels(rows, soft, seen=frozenset({"root"}), by="crowd")


def test_prompts_are_written_as_the_template_says() -> None:
    template = Template((" bad", " good"), "Film: ", "\nIt is", "\n\n", "Say what it is.\n")
    shots = Shots((("one", 1), ("two", 0)), frozenset(), "truth")
    assert template.prompt("three", shots) == (
        "Say what it is.\nFilm: one\nIt is good\n\nFilm: two\nIt is bad\n\nFilm: three\nIt is"
    )
    assert template.prompt("three") == "Say what it is.\nFilm: three\nIt is"


@pytest.mark.parametrize("count", [0, 2, 5, 9])
def test_every_class_is_shown_as_often_by_the_labels_given(count: int) -> None:
    rows = some_rows(60, classes=3)
    more: list[int] = []
    for seed in range(20):
        shots = choose_shots(true_labels(rows), count, seed)
        texts = [text for text, _ in shots.examples]
        assert len(set(texts)) == len(texts) == count
        assert all(class_ == int(text.split()[-1]) % 3 for text, class_ in shots.examples)
        often = Counter(class_ for _, class_ in shots.examples)
        assert sorted(often[class_] for class_ in range(3)) == sorted((count + extra) // 3 for extra in range(3))
        more += [class_ for class_ in range(3) if often[class_] > count // 3]
        assert choose_shots(true_labels(rows), count, seed) == shots
    assert count % 3 == 0 or set(more) == {0, 1, 2}  # which class has one more is drawn


def test_weak_labels_are_shown_as_they_are_and_balanced_as_they_are() -> None:
    rows = some_rows()
    truth = choose_shots(true_labels(rows), 8, 3)
    weak = choose_shots(weakly(rows, 20), 8, 3)
    assert Counter(class_ for _, class_ in weak.examples) == {0: 4, 1: 4}
    for text, class_ in weak.examples:
        row = int(text.split()[-1])
        assert class_ == (row % 2 if row >= 20 else 1 - row % 2)
    assert any(class_ != int(text.split()[-1]) % 2 for text, class_ in weak.examples)
    assert len({text for text, _ in truth.examples} & {text for text, _ in weak.examples}) >= 4
    assert choose_shots(weakly(rows, 0), 8, 3).examples == truth.examples
    assert weak.seen >= {"root"}
    assert (truth.by, weak.by) == ("truth", "crowd")


def test_other_seeds_show_other_rows_and_orders() -> None:
    rows = some_rows()
    drawn = [choose_shots(true_labels(rows), 4, seed).examples for seed in range(30)]
    assert len(set(drawn)) > 25
    orders = {tuple(class_ for _, class_ in each) for each in drawn}
    assert len(orders) == 6  # of two and two: each of the six is missed once in a thousand


def test_a_known_model_says_what_its_table_says_whatever_is_shown() -> None:
    table = some_table()
    rows = some_rows(12)
    shots = choose_shots(true_labels(some_rows(20).take(torch.arange(12, 20))), 2, 0)
    row = table[number(":")]
    wanted = torch.stack([row[number("no")], row[number("yes")]])
    wanted = (wanted / wanted.sum()).repeat(12, 1)
    for shown in (NO_SHOTS, shots):
        found = said_by_prompting(pair_model(table), rows, TEMPLATE, shown)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-7)
    even = said_by_prompting(pair_model(table), rows, TEMPLATE, content_free=("N/A",))
    torch.testing.assert_close(even, torch.full((12, 2), 0.5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert predictions_for(rows, even[None]).probabilities.shape == (1, 12, 2)


def test_calibration_divides_by_the_mean_of_content_free_texts_after_the_same_examples() -> None:
    model = random_model("gpt2", context=200)
    rows = some_rows()
    judge, shots = rows.take(torch.arange(10)), choose_shots(true_labels(rows.take(torch.arange(10, 40))), 4, 0)
    free = ("N / A", "a")
    asked = [TEMPLATE.prompt(text, shots) for text in (*judge.inputs.columns[0], *free)]  # type: ignore[attr-defined]
    scores = word_scores(model, asked, TEMPLATE.words)
    own = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
    wanted = own[:10] / own[10:].mean(dim=0)
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    found = said_by_prompting(model, judge, TEMPLATE, shots, content_free=free)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    plain = said_by_prompting(model, judge, TEMPLATE, shots)
    torch.testing.assert_close(plain, own[:10], rtol=0, atol=1e-10)
    unshared = said_by_prompting(model, judge, TEMPLATE, shots, content_free=free, share=False)
    torch.testing.assert_close(unshared, found, rtol=0, atol=1e-10)


def test_even_answers_to_nothing_change_nothing() -> None:
    scores = torch.tensor([[-1.0, -2.0, -0.5], [-3.0, -3.0, -9.0]]).double()
    even = torch.full((2, 3), -4.0).double()
    torch.testing.assert_close(calibrated(scores, even), scores.softmax(dim=1))
    shifted = calibrated(scores - 100, even + 7)  # one number for all words says nothing
    torch.testing.assert_close(shifted, scores.softmax(dim=1))


def test_rows_that_are_shown_or_shaped_the_labels_are_refused() -> None:
    model, rows = random_model("llama", context=200), some_rows()
    shots = choose_shots(true_labels(rows.take(torch.arange(20))), 4, 0)
    with pytest.raises(InputError, match="4 of the rows are shown as examples, or shaped their labels"):
        said_by_prompting(model, rows, TEMPLATE, shots)
    labels = rows.take(torch.arange(20))
    soft = torch.nn.functional.one_hot(labels.targets, 2).float()
    learned = frozenset(rows.take(torch.arange(20, 25)).origins())
    shots = choose_shots(weak_labels(labels, soft, seen=learned, by="small"), 4, 0)
    with pytest.raises(InputError, match="5 of the rows are shown as examples, or shaped their labels"):
        said_by_prompting(model, rows.take(torch.arange(20, 40)), TEMPLATE, shots)
    assert len(said_by_prompting(model, rows.take(torch.arange(25, 40)), TEMPLATE, shots)) == 15


def test_what_cannot_be_prompted_is_said() -> None:
    model, rows = random_model("llama"), some_rows(6)
    with pytest.raises(InputError, match="2 words and the rows 3 classes"):
        said_by_prompting(model, some_rows(6, classes=3), TEMPLATE)
    with pytest.raises(InputError, match="calls too few rows c1 to show 8 examples"):
        choose_shots(true_labels(some_rows(7)), 8, 0)
    with pytest.raises(InputError, match="-1 examples"):
        choose_shots(true_labels(rows), -1, 0)
    pairs = make_rows(Texts((("a", "b"), ("c", "d"))), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="one text each"):
        choose_shots(true_labels(pairs), 2, 0)
    with pytest.raises(InputError, match="one text each"):
        said_by_prompting(model, make_rows(torch.zeros(2, 3), torch.tensor([0, 1])), TEMPLATE)
