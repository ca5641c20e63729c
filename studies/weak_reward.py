"""Weak to strong on rewards: which of two completions is better? Rankers of four sizes, taught by smaller ones.

    python studies/weak_reward.py               three seeds; prints tables, keeps what is finished in runs/weak_reward
    python studies/weak_reward.py --quick       few comparisons, in seconds: does it all run?
    python studies/weak_reward.py --publish     also writes docs/weak-reward.md, its data and pictures

A killed run goes on where it was; all of it takes about ten minutes of one core. What is kept does not know the version
of the code: after a change to it, delete the folder.

Rows: generated comparisons whose truth is known (`surefoot.rows.comparisons`): completions keep to a rule or break it
(substance), and open and end politely or not (form). 2,000 are judged, the same for every seed; the others are halved
by the seed: truth for supervisors, and comparisons that supervisors label (whose truth is the ceilings').

A model is a causal transformer (`surefoot.networks.causal`). Every size first learns to write: a corpus of texts
without preferences, some of which somebody has marked. Then it is a ranker, trained on comparisons by AdamW.

Two arms. *Plain*: rankers start from what they learnt of the corpus. *Written first*: students and ceilings have then
learnt to write both completions of every labelled comparison, whichever is preferred (generative fine-tuning); the
supervisors are those of the plain arm.

Taught beside the losses, as controls: one epoch of cross-entropy in place of all, and a body that has read no corpus.
Pairs of a size with itself are self-training.

Numbers of the form of the world, of sizes, rates and epochs were settled on the truth alone, on comparisons of other
seeds, before any student was taught.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 (reward modelling) and §5.2.2 (generative
fine-tuning). Theirs are pretrained language models and comparisons that people made.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from weak_tables import DOCS, asked, picture, plain, publish, record_of, rounded, tables, told

from surefoot.files import digest_json, read_tensors, write_tensors, write_text
from surefoot.findings.compare import compare
from surefoot.inference.settings import Ascend
from surefoot.networks.build import build_linear
from surefoot.networks.causal import Causal, build_ranker, build_writer
from surefoot.networks.network import Parameters, forward_prepared, parameters_of, prepare
from surefoot.rows.comparisons import MARK, STOP, SURE, VOCABULARY, Writing, best_accuracy, comparisons, corpus
from surefoot.rows.packed import unpack
from surefoot.rows.rows import Rows
from surefoot.supervise.generative import completion_score, tune_writer, written
from surefoot.supervise.labels import TRUTH, WeakLabels, true_labels
from surefoot.supervise.losses import Confidence, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Grid, Said, Size, teach_pairs
from surefoot.supervise.student import Learner, said_of, teach

ROOT = Path(__file__).resolve().parents[1]
BASELINE, SHORT, UNREAD = "cross-entropy", "cross-entropy, 1 epoch", "cross-entropy, no corpus"
SURE_OF_ITSELF = "confidence .5"
TITLE = "Rewards: which completion is better? Rankers taught by smaller ones"
TITLE_WRITTEN = "Rewards after generative fine-tuning: students and ceilings have written all completions"
COMPARED, JUDGED, READ, HELD = 10, 11, 100, 12
"""Seeds of what is drawn: comparisons, judge comparisons, the corpus of seed 0, texts that nobody reads."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. models: name, width, blocks, heads, learning rate of the corpus, from the smallest."""

    world: Writing = field(default_factory=Writing)
    labelled: int = 4000
    judged: int = 2000
    texts: int = 12_000
    models: tuple[tuple[str, int, int, int, float], ...] = (
        ("causal4", 4, 1, 1, 0.02),
        ("causal8", 8, 2, 1, 0.01),
        ("causal16", 16, 2, 2, 0.01),
        ("causal32", 32, 3, 4, 0.005),
    )
    reading: int = 4
    writing: int = 2
    epochs: int = 4
    batch: int = 32


QUICK = Settings(labelled=200, judged=100, texts=200, reading=1, writing=1, epochs=2)


@dataclass(frozen=True)
class Recipe:
    """A loss, for how long it is taught, and whether its student has read the corpus."""

    loss: WeakLoss
    epochs: int
    read: bool = True

    def __call__(self, logits: Tensor, weak: Tensor, done: float) -> Tensor:
        return self.loss(logits, weak, done)


def recipes(settings: Settings, *, written_first: bool) -> dict[str, Recipe]:
    """The baseline first; controls are taught in the plain arm alone."""
    long = settings.epochs
    both = {BASELINE: Recipe(CrossEntropy(), long), SURE_OF_ITSELF: Recipe(Confidence(0.5, 0.2, "even"), long)}
    if written_first:
        return both
    return {**both, SHORT: Recipe(CrossEntropy(), 1), UNREAD: Recipe(CrossEntropy(), long, read=False)}


def form_of(settings: Settings, size: int) -> Causal:
    _, width, blocks, heads, _ = settings.models[size]
    return Causal(len(VOCABULARY), settings.world.room, width, blocks, heads)


@dataclass(frozen=True)
class Reward:
    """One arm of the setting as `teach_pairs` asks for it; starts are kept in the folder."""

    settings: Settings
    folder: Path
    written_first: bool

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        """Supervisors and ceilings are taught as the baseline is."""
        settings = self.settings
        how = loss if isinstance(loss, Recipe) else recipes(settings, written_first=False)[BASELINE]
        supervises = labels.by == TRUTH and not labels.rows.origins() & labelled.origins()
        name, *_, rate = settings.models[size]
        ranker = build_ranker(form_of(settings, size), _first_weights(size, seed))
        start = None
        if how.read:
            start = self.corpus_read(size, seed)
            if self.written_first and not supervises:
                start = self.completions_written(size, seed, start, labelled)
        climb = Ascend(how.epochs, settings.batch, rate / 2, weight_decay=0.01)
        point = teach(Learner(name, ranker, climb, how, start), labels, seed).point()
        # What a student says of the labelled comparisons teaches nobody.
        other = labelled.inputs if labels.by == TRUTH else labelled.inputs[:1]
        return Said(*(said_of(ranker, point, each) for each in (other, judge.inputs)))

    def corpus_read(self, size: int, seed: int) -> Parameters:
        """What a size has learnt of the corpus, before anything is compared."""
        settings = self.settings
        place = self.folder / f"read by {settings.models[size][0]}, seed {seed}.safetensors"
        if not place.exists():
            writer = build_writer(form_of(settings, size), _first_weights(size, seed))
            texts = corpus(settings.world, settings.texts, READ + seed)
            climb = Ascend(settings.reading, 64, settings.models[size][-1])
            write_tensors(place, tune_writer(writer, texts, parameters_of(writer), seed, climb).point())
        return read_tensors(place)

    def completions_written(self, size: int, seed: int, start: Parameters, labelled: Rows) -> Parameters:
        """And of both completions of every labelled comparison."""
        settings = self.settings
        place = self.folder / f"written by {settings.models[size][0]}, seed {seed}.safetensors"
        if not place.exists():
            writer = build_writer(form_of(settings, size), _first_weights(size, seed))
            climb = Ascend(settings.writing, 64, settings.models[size][-1] / 2)
            write_tensors(place, tune_writer(writer, written(labelled), start, seed, climb).point())
        return read_tensors(place)


def _first_weights(size: int, seed: int) -> int:
    return 100 * seed + size


def glance(rows: Rows) -> Tensor:
    """What is seen at a glance, second completion minus first: sure, a full stop, how far from the usual length."""
    prompts, lengths, tokens = unpack(rows.inputs[:])
    begins = tokens.gather(2, prompts[..., None])[..., 0] == SURE
    ends = tokens.gather(2, lengths[..., None] - 1)[..., 0] == STOP
    digits = lengths - prompts - begins.long() - ends.long()
    usual = digits.flatten().mode().values
    seen = torch.stack([begins.long(), ends.long(), (digits - usual).abs()], dim=2).float()
    return seen[:, 1] - seen[:, 0]


def known(settings: Settings, rows: Rows, judge: Rows, scores: Tensor) -> dict[str, float]:
    """What nobody can be above, and what form alone gives: a linear model of it, on the truth of all labelled rows."""
    linear = build_linear(3, 2, seed=0)
    climb = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")
    point = teach(Learner("form", linear, climb), true_labels(rows.with_inputs(glance(rows))), 0).point()
    right = said_of(linear, point, glance(judge)).argmax(dim=1) == judge.targets
    truer = (scores[:, 1] > scores[:, 0]).long() == judge.targets
    return {
        "best": best_accuracy(settings.world, scores),
        "score": float(truer.double().mean()),
        "form": float(right.double().mean()),
    }


def readers(reward: Reward, seeds: int) -> list[dict[str, Any]]:
    """How well each size writes texts that it has not read, in nats a text, and how often it marks as somebody did."""
    settings = reward.settings
    held = corpus(settings.world, 1000, HELD, marked=1.0)
    lines: list[dict[str, Any]] = []
    for size, (name, *_) in enumerate(settings.models):
        writer = prepare(build_writer(form_of(settings, size), 0))
        nats: list[float] = []
        marked: list[float] = []
        for seed in range(seeds):
            with torch.no_grad():
                logits = forward_prepared(writer, reward.corpus_read(size, seed), held.inputs[:])
            _, lengths, tokens = unpack(held.inputs[:])
            every = torch.arange(len(held))
            marks = logits[every, lengths - 2, MARK:].argmax(dim=1) + MARK
            nats.append(-float(completion_score(logits, held.targets).mean()))
            marked.append(float((marks == tokens[every, lengths - 1]).double().mean()))
        lines.append({"name": name, "nats": sum(nats) / seeds, "marked": sum(marked) / seeds})
    return rounded(lines)


def arms_record(first: Grid, after: Grid) -> list[dict[str, Any]]:
    """Students of both arms on the same rows and seeds."""
    before = {(each.weak.name, each.strong.name, each.loss): each for each in first.pairs()}
    numbers = {size: number for number, size in enumerate(first.sizes)}
    lines: list[dict[str, Any]] = []
    for pair in after.pairs():
        other = before[pair.weak.name, pair.strong.name, pair.loss]
        key = (numbers[pair.weak], numbers[pair.strong], pair.loss)
        change = next(
            each
            for each in compare(
                first.students[key], after.students[key], before_name="plain", after_name="written", source="judge"
            )
            if (each.name, each.slice) == ("accuracy", "all")
        )
        lines.append({
            "weak": pair.weak.name,
            "strong": pair.strong.name,
            "loss": pair.loss,
            "itself": pair.itself,
            "students": [other.accuracies[1], pair.accuracies[1]],
            "ceilings": [other.accuracies[2], pair.accuracies[2]],
            "recovered": [plain(other.recovered.recovered), plain(pair.recovered.recovered)],
            "change": plain(change),
        })  # fmt: skip
    return rounded(lines)


def readers_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| model | nats a text that nobody has read | marks as somebody did, % | as supervisor, % | as ceiling, % | "
        "as ceiling that has written, % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sizes = zip(record["readers"], record["plain"]["sizes"], record["written"]["sizes"], strict=True)
    for each, size, other in sizes:
        accuracies = " | ".join(
            f"{100 * share:.1f}" for share in (size["supervisor"], size["ceiling"], other["ceiling"])
        )
        lines.append(f"| {each['name']} | {each['nats']:.2f} | {100 * each['marked']:.1f} | {accuracies} |")
    return "\n".join(lines)


def arms_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| pair, by | student, % | that has written, % | difference, points | gap recovered | "
        "of the gap to a ceiling that has written |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in record["arms"]:
        recovered = ["no gap" if of is None else told(of) for of in each["recovered"]]
        students = " | ".join(f"{100 * of:.1f}" for of in each["students"])
        own = " (control)" if each["itself"] else ""
        lines.append(
            f"| {each['weak']} → {each['strong']}{own}, {each['loss']} | {students} | "
            f"{told(each['change'], 100, 1, '+')} | {recovered[0]} | {recovered[1]} |"
        )
    return "\n".join(lines)


def blocks_of(record: Mapping[str, Any]) -> list[str]:
    """The page's tables, in its order."""
    sizes, losses, baseline, others = tables(record["plain"])
    _, losses_after, baseline_after, others_after = tables(record["written"])
    return [
        sizes, readers_table(record), losses, baseline, others, arms_table(record), losses_after, baseline_after,
        others_after,
    ]  # fmt: skip


def pictures(record: Mapping[str, Any]) -> tuple[str, str]:
    """Of both arms."""
    return (
        picture(record["plain"], TITLE, SURE_OF_ITSELF),
        picture(record["written"], TITLE_WRITTEN, SURE_OF_ITSELF),
    )


def study(settings: Settings, seeds: int, folder: Path) -> dict[str, Any]:
    """The record of the setting; models are told on stderr as they are finished."""
    folder = folder / digest_json(asdict(settings))[:10]
    rows, _ = comparisons(settings.world, settings.labelled, COMPARED)
    judge, scores = comparisons(settings.world, settings.judged, JUDGED)
    sizes = [
        Size(name, sum(each.numel() for each in build_ranker(form_of(settings, size), 0).module.parameters()))
        for size, (name, *_) in enumerate(settings.models)
    ]
    arms: dict[str, Grid] = {}
    records: dict[str, Any] = {}
    for arm, written_first in (("plain", False), ("written", True)):
        taught = Reward(settings, folder, written_first)
        losses = recipes(settings, written_first=written_first)
        arms[arm] = teach_pairs(
            sizes, rows, judge, taught, losses, range(seeds), folder=folder / arm, progress=tell
        )  # fmt: skip
        records[arm] = record_of(arms[arm], asdict(settings), seeds, baseline=BASELINE)
    return {
        **records,
        "known": rounded(known(settings, rows, judge, scores)),
        "readers": readers(Reward(settings, folder, written_first=False), seeds),
        "arms": arms_record(arms["plain"], arms["written"]),
    }


def tell(stage: str, done: int, total: int) -> None:
    step = max(1, total // 20)
    if done % step == 0 or done == total:
        print(f"[{done}/{total}] {stage}", file=sys.stderr, flush=True)


def main() -> None:
    chosen = asked(__doc__, seeds=3, quick_seeds=1, folder=ROOT / "runs" / "weak_reward")
    record = study(QUICK if chosen.quick else Settings(), chosen.seeds, chosen.folder)
    blocks, drawn = blocks_of(record), pictures(record)
    print("\n\n".join(blocks))
    if chosen.publish:
        publish("reward", record, blocks, drawn[0], page="weak-reward.md")
        write_text(DOCS / "images" / "weak-reward-written.svg", drawn[1])


if __name__ == "__main__":
    main()
