"""Tuning text models: every row is learnt, a seed and a resumed run give the same numbers, folders say the same."""

import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import some_texts, transformers
from tuning_examples import KINDS, some_labels, text_rows, tiny

from surefoot.errors import InputError
from surefoot.hub.layers import layer_features
from surefoot.hub.pretrained import open_folder
from surefoot.hub.tuning import tune as tuning
from surefoot.hub.tuning.adapt import Adaptation, Full, HeadOnly, LowRank
from surefoot.hub.tuning.keep import HEAD, keep_tuned, open_tuned
from surefoot.hub.tuning.place import Place, accelerated, alone
from surefoot.hub.tuning.settings import ELEUTHER, OPENAI, Tune, rate_of
from surefoot.hub.tuning.tune import TextLearner, TunedText, said_of_texts, tune
from surefoot.rows.texts import Texts
from surefoot.supervise.labels import WeakLabels, true_labels
from surefoot.supervise.losses import Confidence, CrossEntropy
from surefoot.supervise.soft_probe import fit_soft_probe

QUICK = Tune(epochs=2, batch=4, rate=0.01)
HOWS = (Full(), LowRank(2, 4.0), HeadOnly())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny_runs")


def numbers(tuned: TunedText) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone() for name, each in tuned.classifier.named_parameters()}


def same(one: TunedText, other: TunedText) -> bool:
    left, right = numbers(one), numbers(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("how", HOWS, ids=lambda each: type(each).__name__)
def test_a_seed_gives_the_same_numbers_twice_and_another_others(folder: Path, how: Adaptation) -> None:
    learner = TextLearner("tiny", tiny(folder, "gpt2"), how, QUICK, Confidence(0.5, 0.1))
    labels = some_labels(some_texts(10))
    torch.manual_seed(1)
    first = tune(learner, labels, 0)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = tune(learner, labels, 0)
    assert torch.equal(state, torch.get_rng_state())  # the caller's randomness is left alone
    assert same(first, second)
    assert first.losses == second.losses
    assert not same(first, tune(learner, labels, 1))
    assert first.seen == labels.rows.origins() | {"elsewhere"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_learnt(folder: Path, kind: str) -> None:
    """Texts that end in "bird" against texts that end in "water", told apart by every model."""
    plain = [text.replace("bird", "old").replace("water", "far") for text in some_texts(120, 5)]
    rows = text_rows(tuple(f"{text} {'bird' if number % 2 else 'water'}" for number, text in enumerate(plain)))
    learner = TextLearner("tiny", tiny(folder, kind), Full(), Tune(epochs=6, batch=8, rate=0.01))
    tuned = tune(learner, true_labels(rows.take(torch.arange(80))), 0)
    said = said_of_texts(tuned, rows.inputs).probabilities
    assert tuned.losses[-1] < 0.3
    assert float((said.argmax(dim=1) == rows.targets)[80:].float().mean()) >= 0.9


def test_a_head_alone_comes_near_the_best_head_of_the_features(folder: Path) -> None:
    labels = some_labels(some_texts(40), 3)
    learner = TextLearner("tiny", tiny(folder, "llama"), HeadOnly(), Tune(epochs=120, batch=40, rate=0.1))
    tuned = tune(learner, labels, 0)
    said = said_of_texts(tuned, labels.rows.inputs)
    ones = torch.cat([said.features, said.features.new_ones(40, 1)], dim=1)
    best = fit_soft_probe(ones, labels.rows.targets).loss
    own = float(-(labels.rows.targets * said.probabilities.log()).sum(dim=1).mean())
    assert best - 1e-6 <= own < best + 0.1
    body = dict(tuned.classifier.body.named_parameters())
    before = dict(tiny(folder, "llama").module.named_parameters())
    assert all(torch.equal(body[name], before[name]) for name in body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_alone_learns_from_kept_vectors_what_it_learns_from_texts(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the body says is taken once, for all epochs; each row must find its own."""
    labels = some_labels(some_texts(11), 3)
    learner = TextLearner("tiny", tiny(folder, kind), HeadOnly(), replace(QUICK, epochs=5, microbatch=3))
    kept = numbers(tune(learner, labels, 0))["head.weight"]
    monkeypatch.setattr(tuning._Run, "_frozen", lambda self: None)  # type: ignore[attr-defined]
    read = numbers(tune(learner, labels, 0))["head.weight"]
    assert float(read.abs().max()) > 0.02
    torch.testing.assert_close(kept, read, rtol=1e-3, atol=1e-4)


def test_every_row_is_learnt_once_an_epoch_and_the_last_batch_may_be_small(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = TextLearner("tiny", tiny(folder, "bert"), HeadOnly(), replace(QUICK, epochs=3))
    seen: list[list[int]] = []
    plain = tuning._Run._step  # type: ignore[attr-defined]

    def step(self: Any, places: list[int], *others: Any) -> float:
        seen.append(list(places))
        return plain(self, places, *others)

    monkeypatch.setattr(tuning._Run, "_step", step)  # type: ignore[attr-defined]
    tuned = tune(learner, some_labels(some_texts(10)), 0)
    assert [len(each) for each in seen] == [4, 4, 2] * 3
    epochs = [[place for each in seen[at : at + 3] for place in each] for at in (0, 3, 6)]
    assert all(sorted(each) == list(range(10)) for each in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(tuned.losses) == 3


def test_the_mean_loss_of_an_epoch_counts_rows_and_not_batches(folder: Path) -> None:
    """Batches of 4, 4 and 1: of a loss that is the rows' own first label, it is the mean over rows."""

    def loss(logits: torch.Tensor, weak: torch.Tensor, done: float) -> torch.Tensor:
        return weak[:, 0] + 0 * logits.sum(dim=1)

    labels = some_labels(some_texts(9), 3)
    learner = TextLearner("tiny", tiny(folder, "bert"), Full(), Tune(epochs=2, batch=4), loss)
    wanted = float(labels.rows.targets[:, 0].mean())
    assert tune(learner, labels, 0).losses == pytest.approx((wanted, wanted), abs=1e-6)


def test_the_pace_that_a_loss_sees_is_the_share_of_steps_that_came_before(folder: Path) -> None:
    seen: list[float] = []

    def loss(logits: torch.Tensor, weak: torch.Tensor, done: float) -> torch.Tensor:
        seen.append(done)
        return CrossEntropy()(logits, weak, done)

    learner = TextLearner("tiny", tiny(folder, "bert"), HeadOnly(), QUICK, loss)
    tune(learner, some_labels(some_texts(10)), 0)
    assert seen == [step / 6 for step in range(6)]


def test_every_setting_of_the_optimiser_reaches_it(folder: Path) -> None:
    labels = some_labels(some_texts(10))
    learner = TextLearner("tiny", tiny(folder, "gpt2"), HeadOnly(), QUICK)
    usual = tune(learner, labels, 0)
    for other in ({"schedule": "constant"}, {"warmup": 2}, {"decay": 0.5}, {"momenta": (0.5, 0.9)}, {"rate": 0.02}):
        assert not same(usual, tune(replace(learner, settings=replace(QUICK, **other)), labels, 0)), other


def test_a_checkpoint_is_of_one_loss_one_body_and_one_set_of_labels(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "run.safetensors"
    learner, labels = TextLearner("tiny", tiny(folder, "bert"), HeadOnly(), QUICK), some_labels(some_texts(10))
    wanted = tune(learner, labels, 0, checkpoint=place)
    others = [
        (replace(learner, loss=Confidence(0.5, 0.1)), labels),
        (replace(learner, layers=1), labels),
        (replace(learner, how=Full()), labels),
        (replace(learner, settings=replace(QUICK, rate=0.02)), labels),
        (learner, some_labels(some_texts(10), seed=1)),
        (learner, some_labels((*some_texts(9), "the old bird"))),
    ]
    for other, given in others:
        with pytest.raises(InputError, match="another"):
            tune(other, given, 0, checkpoint=place)
    assert same(tune(learner, labels, 0, checkpoint=place), wanted)


@pytest.mark.parametrize("how", [Full(), LowRank(2, 4.0)], ids=lambda each: type(each).__name__)
def test_microbatches_change_nothing_but_rounding(folder: Path, how: Adaptation) -> None:
    labels = some_labels(some_texts(10))
    learner = TextLearner("tiny", tiny(folder, "gpt2"), how, replace(QUICK, rate=1e-3), Confidence(0.75, 0.1, "weak"))
    whole = tune(learner, labels, 0)
    parts = tune(replace(learner, settings=replace(learner.settings, microbatch=3)), labels, 0)
    one, other = (said_of_texts(each, labels.rows.inputs).probabilities for each in (whole, parts))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert whole.losses == pytest.approx(parts.losses, abs=1e-4)


@pytest.mark.parametrize("how", HOWS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("dropout", [False, True])
def test_a_killed_run_goes_on_to_the_same_numbers_and_a_finished_one_returns_them(
    folder: Path, tmp_path: Path, how: Adaptation, dropout: bool
) -> None:
    learner = TextLearner("tiny", tiny(folder, "bert"), how, replace(QUICK, dropout=dropout), Confidence(0.5, 0.5))
    labels = some_labels(some_texts(10))
    straight = tune(learner, labels, 0)
    place = tmp_path / "run.safetensors"

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == 5:  # in the middle of the second epoch, two steps after a checkpoint
            raise Killed

    with pytest.raises(Killed):
        tune(learner, labels, 0, checkpoint=place, save_every=2, progress=kill)
    steps: list[int] = []
    resumed = tune(learner, labels, 0, checkpoint=place, progress=lambda _, done, __: steps.append(done))
    assert steps == [5, 6]
    assert same(resumed, straight)
    assert resumed.losses == straight.losses
    again = tune(learner, labels, 0, checkpoint=place, progress=lambda *_: pytest.fail("taught again"))
    assert same(again, straight)
    said = said_of_texts(again, labels.rows.inputs).probabilities
    assert float((said - 0.5).abs().max()) > 0.01  # trained, and not as it began
    with pytest.raises(InputError, match="another"):
        tune(learner, labels, 1, checkpoint=place)


def test_dropout_is_off_unless_asked_for_and_the_same_in_both_passes(folder: Path) -> None:
    encoder, labels = tiny(folder, "bert"), some_labels(some_texts(8))
    plain = TextLearner("tiny", encoder, Full(), QUICK)
    noisy = replace(plain, settings=replace(QUICK, dropout=True))
    quiet, taught = tune(plain, labels, 0), tune(noisy, labels, 0)
    assert not quiet.classifier.training
    assert not taught.classifier.training  # what it says is said without
    said = [said_of_texts(taught, labels.rows.inputs).probabilities for _ in range(2)]
    assert torch.equal(said[0], said[1])
    assert not same(quiet, taught)
    # A part's logits without a graph are those with one: else the loss of microbatches would not fall as it does.
    seen: list[torch.Tensor] = []
    forward = tuning.TextClassifier.vectors

    def vectors(self: Any, given: Any) -> torch.Tensor:
        found = forward(self, given)
        seen.append(found.detach())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning.TextClassifier, "vectors", vectors)
        tune(replace(noisy, settings=replace(noisy.settings, microbatch=2, epochs=1)), labels, 0)
    assert len(seen) == 8
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[4])


def test_every_part_of_every_step_has_dropout_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = some_labels(some_texts(8))
    learner = TextLearner("tiny", tiny(folder, "bert"), HeadOnly(), replace(QUICK, dropout=True, microbatch=2))
    plain, asked = tuning.dropped, dict[int, list[int | None]]()
    for seed in (0, 1):
        drawn = asked.setdefault(seed, [])
        monkeypatch.setattr(tuning, "dropped", lambda each, drawn=drawn: (drawn.append(each), plain(each))[1])
        tune(learner, labels, seed)
    assert [len(each) for each in asked.values()] == [16, 16]  # 4 steps of 2 parts, each run twice
    assert len({*asked[0], *asked[1]}) == 16
    assert None not in asked[0]


def test_one_process_of_accelerate_gives_the_numbers_of_none(folder: Path) -> None:
    learner = TextLearner("tiny", tiny(folder, "gpt2"), LowRank(2, 4.0), QUICK, Confidence(0.5, 0.1))
    labels = some_labels(some_texts(10))
    from accelerate import Accelerator

    place = accelerated(Accelerator(cpu=True))
    assert (place.processes, place.precision) == (1, "float32")
    assert same(tune(learner, labels, 0, place=place), tune(learner, labels, 0))


def test_float16_of_accelerate_is_refused() -> None:
    class Sixteen:
        mixed_precision = "fp16"

    with pytest.raises(InputError, match="The precision of Accelerate is fp16"):
        accelerated(Sixteen())


def test_shares_of_processes_sum_to_the_whole_batch(folder: Path) -> None:
    """Two processes played by one, in turns: what the other adds is what it would have sent."""
    from surefoot.hub.tuning.backward import backward_whole, dropped

    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    weak = some_labels(some_texts(7), 3).rows.targets

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return Confidence(0.75, 0.2, "weak")(logits, weak, 0.5).mean()

    head = torch.nn.Parameter(weight.clone())
    loss(inputs @ head.T).backward()
    found: list[torch.Tensor] = []
    for this in (0, 1):
        mine = torch.nn.Parameter(weight.clone())
        missing = torch.zeros(7, 3)
        for first in range(0, 7, 2):
            if first // 2 % 2 != this:
                missing[first : first + 2] = inputs[first : first + 2] @ weight.T
        added = iter([missing, torch.zeros_like(weight)])
        place = Place(torch.device("cpu"), "float32", 2, this, lambda each, added=added: each + next(added))
        backward_whole(
            lambda part, mine=mine: inputs[list(part)] @ mine.T, loss, 7, 3, 2, [mine], place, lambda _: dropped(None)
        )
        assert mine.grad is not None
        found.append(mine.grad)
    assert head.grad is not None
    torch.testing.assert_close(found[0] + found[1], head.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "joining",
    [
        "from accelerate import Accelerator; place = accelerated(Accelerator(cpu=True))",
        "from surefoot.inference.together import joined; from surefoot.hub.tuning.place import shared\n"
        "joining = joined(); place = shared(joining.__enter__())",
    ],
    ids=["accelerate", "torchrun"],
)
def test_two_processes_give_the_numbers_of_one(folder: Path, tmp_path: Path, joining: str) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import torch; torch.set_num_threads(1)\n"
        "from tuning_examples import *\n"
        "from test_tuning_runs import *\n"
        f"{joining}\n"
        "assert place.processes == 2\n"
        "from surefoot.hub.pretrained import open_folder\n"
        "learner = TextLearner('tiny', open_folder(Path(sys.argv[2])), Full(), QUICK, Confidence(0.5, 0.1))\n"
        "tuned = tune(learner, some_labels(some_texts(10)), 0, place=place)\n"
        "said = said_of_texts(tuned, Texts((some_texts(10),))).probabilities\n"
        "torch.save(said, f'{sys.argv[3]}/{place.this}.pt')\n",
        encoding="utf-8",
    )
    encoder = tiny(folder, "bert")
    here = str(Path(__file__).parent)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29617"]
    command += [str(script), here]
    subprocess.run([*command, str(encoder.folder), str(tmp_path)], check=True, timeout=300, capture_output=True)
    learner = TextLearner("tiny", encoder, Full(), QUICK, Confidence(0.5, 0.1))
    wanted = said_of_texts(tune(learner, some_labels(some_texts(10)), 0), Texts((some_texts(10),))).probabilities
    for number in (0, 1):
        found = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_bfloat16_is_near_float32_and_not_it(folder: Path) -> None:
    learner = TextLearner("tiny", tiny(folder, "llama"), Full(), replace(QUICK, rate=1e-3))
    labels = some_labels(some_texts(10))
    plain, half = tune(learner, labels, 0), tune(learner, labels, 0, place=alone(precision="bfloat16"))
    assert all(each.dtype == torch.float32 for each in numbers(half).values())
    one, other = (said_of_texts(each, labels.rows.inputs).probabilities for each in (plain, half))
    assert 0 < float((one - other).abs().max()) < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [Full(), LowRank(2, 4.0)], ids=lambda each: type(each).__name__)
def test_a_kept_model_says_the_same_opened_by_anybody(folder: Path, tmp_path: Path, kind: str, how: Adaptation) -> None:
    texts = (*some_texts(10), "bird ! !") if kind != "bert" else some_texts(11)
    labels = some_labels(texts, 3)
    learner = TextLearner("tiny", tiny(folder, kind), how, QUICK, layers=2)
    tuned = tune(learner, labels, 0)
    wanted = said_of_texts(tuned, labels.rows.inputs)
    state = torch.get_rng_state()
    out = keep_tuned(tuned, tmp_path / "kept")
    assert torch.equal(state, torch.get_rng_state())
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    again = open_tuned(out)
    assert (again.name, again.classes, again.seen, again.losses) == (
        tuned.name, tuned.classes, tuned.seen, tuned.losses
    )  # fmt: skip
    found = said_of_texts(again, labels.rows.inputs)
    torch.testing.assert_close(found.probabilities, wanted.probabilities, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.features, wanted.features, rtol=1e-4, atol=1e-4)

    encoder = open_folder(out)  # surefoot's own road to features, and the head on them
    name = encoder.head or "output"
    features = torch.zeros(len(texts), wanted.features.shape[1])
    for batch in encoder.reader.batches(labels.rows.inputs, slice(0, len(texts))):
        features[batch.places] = layer_features(encoder, encoder.module, batch.given, [name])[name]
    torch.testing.assert_close(features, wanted.features, rtol=1e-4, atol=1e-4)

    with warnings.catch_warnings():  # and the library alone
        warnings.simplefilter("ignore")
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        given = tokenizer(list(texts), padding=True, return_tensors="pt")
        if kind == "bert":
            body = transformers.AutoModel.from_pretrained(out)
            with torch.no_grad():
                hidden = body(**given).last_hidden_state
            mask = given["attention_mask"][:, :, None].float()
            weight = tuning_head(out)
            logits = (hidden * mask).sum(dim=1) / mask.sum(dim=1) @ weight.T
            assert encoder.head is None
        else:
            module = transformers.AutoModelForSequenceClassification.from_pretrained(out)
            given.pop("token_type_ids", None)
            with torch.no_grad():
                logits = module(**given).logits
            assert encoder.head == "score"
            assert encoder.classes == ("class 0", "class 1", "class 2")
    torch.testing.assert_close(logits.softmax(dim=1), wanted.probabilities, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="exists already"):
        keep_tuned(tuned, out)


def tuning_head(folder: Path) -> torch.Tensor:
    from surefoot.files import read_tensors

    return read_tensors(folder / HEAD)["weight"]


def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    encoder = tiny(folder, "bert")
    assert encoder.folder is not None
    with pytest.raises(InputError, match=r"holds no surefoot_tuned\.json"):
        open_tuned(encoder.folder)


def test_the_rate_rises_in_a_line_and_falls_by_a_cosine_to_zero() -> None:
    settings = Tune(rate=2.0, warmup=4)
    rates = [rate_of(settings, step, 104) for step in range(104)]
    assert rates[:5] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert rates[54] == pytest.approx(1.0)
    assert 0 < rates[-1] < 1e-3
    assert all(one > other for one, other in pairwise(rates[4:]))
    assert rate_of(replace(settings, schedule="constant"), 90, 104) == 2.0
    assert (OPENAI.epochs, OPENAI.batch, OPENAI.decay, OPENAI.warmup, OPENAI.dropout) == (2, 32, 0.0, 0, False)
    assert (ELEUTHER.warmup, ELEUTHER.momenta, ELEUTHER.decay) == (40, (0.9, 0.95), 0.1)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"epochs": 0}, {"batch": 0}, {"microbatch": 0}, {"rate": 0.0}, {"warmup": -1}, {"decay": -1.0}):
        with pytest.raises(InputError):
            Tune(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        Tune(momenta=(1.0, 0.9))


def test_bad_runs_are_refused(folder: Path) -> None:
    learner = TextLearner("tiny", tiny(folder, "bert"), Full(), QUICK)
    labels = some_labels(some_texts(4))
    with pytest.raises(InputError, match="The seed is -1"):
        tune(learner, labels, -1)
    empty = WeakLabels(labels.rows.take(torch.arange(0)), frozenset(), "crowd")
    with pytest.raises(InputError, match="no rows"):
        tune(learner, empty, 0)
    broken = replace(learner, loss=lambda logits, weak, done: logits.sum(dim=1) * float("nan"))
    with pytest.raises(InputError, match="The loss is nan at step 1 of 2"):
        tune(broken, labels, 0)


def test_weights_of_rows_count(folder: Path) -> None:
    """A row of weight zero is as if its label were another."""
    labels = some_labels(some_texts(8))
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    learner = TextLearner("tiny", tiny(folder, "bert"), HeadOnly(), QUICK)
    weighted = WeakLabels(replace(labels.rows, weights=weights), labels.seen, labels.by)
    other = labels.rows.targets.clone()
    other[1] = torch.tensor([0.0, 1.0])
    moved = WeakLabels(weighted.rows.with_targets(other), labels.seen, labels.by)
    assert same(tune(learner, weighted, 0), tune(learner, moved, 0))
    assert not same(tune(learner, weighted, 0), tune(learner, labels, 0))
