"""Teach a student from somebody's labels, and say of it what the rows allow.

    kept = teach_student(Path("data.csv"), Path("labels.csv"), student="mlp:64", loss="confidence")
    print(kept.sentence, kept.models)

<out>/teach/<twelve digits>/    finished trainings, each under a name made of all that decides it
<out>/teach-…/                  the card, and `model/seed-<seed>/`, which `look` and `predict` open
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import verdict_of, verdict_sentence
from surefoot.card.gallery import worst_errors
from surefoot.files import digest_json, digest_tensor
from surefoot.findings.calibration import reliability
from surefoot.findings.confusion import confusion
from surefoot.progress import Progress, silent, unheard
from surefoot.rows.copies import about_repeats
from surefoot.rows.digest import identity_digest, rows_digest
from surefoot.rows.reading import Reading
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows
from surefoot.study.numerics import one_thread, require_device
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.once.measure import pictures_of, summary_of_role
from surefoot.study.once.opinions import read_names, read_opinions
from surefoot.study.once.pupil import Finished, Pupil
from surefoot.study.once.students import lesson_of
from surefoot.study.once.taught_rows import Taught, taught_rows, used_classes
from surefoot.study.once.teach_arms import arms_of, told_before, trained
from surefoot.study.once.teach_card import (
    STUDENT,
    WEAK,
    judged_claims,
    measured,
    refuse_without_truth,
)
from surefoot.study.once.teach_refusals import refuse_opinions, refuse_told_answers, refuse_unknown
from surefoot.study.once.teach_words import limits_of, notes_of
from surefoot.study.seeds import check_seeds
from surefoot.study.seen import inputs_of
from surefoot.study.stored import COLUMNS, GROUPS, save_seen

__all__ = ["FOLDER", "KeptStudent", "teach_pupil", "teach_student"]

FOLDER = "teach"
"""In the folder of runs, finished trainings."""


@dataclass(frozen=True)
class KeptStudent:
    """A finished card, its folder, the students as models by seed, and in a sentence the most that was measured.

    origins: what was read as what, and where rows came from. reused: trainings that were finished before.
    """

    card: Card
    folder: Path
    models: Mapping[int, Path]
    sentence: str
    origins: tuple[str, ...]
    reused: int


def teach_student(
    data: Path,
    weak: Path,
    *,
    columns: Columns = USUAL,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
    seen: Path | None = None,
    student: str = "linear",
    loss: str = "cross_entropy",
    epochs: int = 20,
    batch: int = 64,
    rate: float = 3e-3,
    seeds: Sequence[int] = (0, 1, 2),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    split_seed: int = 0,
    device: str = "cpu",
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptStudent:
    """`teach_pupil` of a network that is named as `students` names them.

    epochs, batch, rate: of AdamW; a linear student with cross-entropy is solved and has neither these nor seeds.
    device: of networks that descend.
    """
    check_level(confidence, "The card")
    require_device(device)
    return teach_pupil(
        data, weak, lesson_of(student, loss, epochs, batch, rate, device), columns=columns,
        probabilities=probabilities, prediction=prediction, seen=seen, seeds=seeds, claims=claims,
        confidence=confidence, split_seed=split_seed, out=out, command=command, say=say, progress=progress,
    )  # fmt: skip


@one_thread()
def teach_pupil(
    data: Path,
    weak: Path,
    pupil: Pupil,
    *,
    columns: Columns = USUAL,
    reading: Reading | None = None,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
    seen: Path | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    split_seed: int = 0,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptStudent:
    """Teach a student the labels in `weak`, and measure it on rows that neither it nor, as far as known, they saw.

    seen: names of the rows that the supervisor was trained on (`read_names`). reading: the rows of `data`, where they
    are read already. claims: of the student, unless they name "weak", "short" or "ceiling".

    Raises `InputError` for what these allow not together; finished trainings are kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    starts = check_seeds(seeds)
    made = [parse_claim(claim, STUDENT, confidence) for claim in claims]
    for claim in made:
        check_claim(claim, seeds=len(starts) if pupil.steps(1) is not None else 1)
    if reading is None:
        reading = columns.read(data, labelled=False, coded=not data.is_dir(), partly=True)
    refuse_told_answers(columns, reading)
    refuse_unknown(made)
    known = used_classes(reading.rows)
    opinions = read_opinions(
        weak, classes=known, identity=columns.id, probabilities=probabilities,
        prediction=prediction,
    )  # fmt: skip
    refuse_opinions(columns, reading, opinions, same=data.exists() and weak.exists() and data.samefile(weak))
    saw = read_names(seen) if seen is not None else opinions.seen
    taught = taught_rows(reading, opinions, saw or frozenset(), split_seed)
    read_as = pupil.check(taught.labels.rows, taught.judge)
    taught = replace(taught, notes=(*taught.notes, *read_as))
    steps = pupil.steps(len(taught.labels.rows))
    starts = starts[: 1 if steps is None else None]
    refuse_seen(taught.judge, taught.labels.origins() | pupil.origins, "the student or its supervisor")
    refuse_without_truth(made, truth=taught.measured)
    arms, missing = arms_of(pupil, taught)
    say(told_before(arms, taught, starts))
    pupil.prepare(out / FOLDER, taught.labels.rows, taught.judge, progress)
    models, reused = trained(arms, starts, out / FOLDER, progress)
    said = _said(models, taught.judge, progress)
    by_level = {
        level: measured(
            taught.judge, taught.said, said, truth=taught.measured, certain=opinions.certain, missing=missing,
            confidence=level,
        )
        for level in dict.fromkeys([confidence, *(claim.confidence for claim in made)])
    }  # fmt: skip
    found = by_level[confidence]
    labels = {WEAK: f"weak labels ({weak.name})", **{name: arm.label for name, arm in arms.items()}}
    judged = judged_claims(made, by_level, labels)
    summaries = _summaries(taught)
    told = tuple(reading.described.splitlines())
    encoded = () if taught.encoder is None else taught.encoder.described
    origins = (*told, *opinions.told, *encoded, *taught.notes)
    asked = Asked(
        road="teach",
        name=data.stem,
        data=f"{len(reading.rows):,} rows from {data.name}; {'; '.join((*told, *opinions.told))}",
        settings={
            **pupil.record,
            "taught": rows_digest(taught.labels.rows),
            "labels": digest_tensor(taught.labels.rows.targets),
            "judge": rows_digest(taught.judge),
            "said": None if taught.said is None else digest_tensor(taught.said),
            "seen": None if saw is None else digest_json(sorted(saw)),
            "claims": list(claims),
            "confidence": confidence,
        },
        seeds=tuple(starts),
        judge_digest=identity_digest(taught.judge.ids, taught.judge.sources),
        command=command,
        marks=marks_of_rows(taught.judge),
    )

    def make(record: Record) -> Card:
        drawn = {name: of for name, of in found.predictions.items() if found.truth and name in (WEAK, STUDENT)}
        sure = {name: of for name, of in drawn.items() if not of.decisions}
        return Card(
            title=f"A student of {weak.name} on {data.name}",
            question="What did the student learn from weak labels, and is it better than they are?"
            if found.truth
            else "How far does the student follow its supervisor?",
            verdict=verdict_of(judged),
            sentence=f"{verdict_sentence(judged, None, labels)} {found.sentence}".strip(),
            chosen=None,
            claims=judged,
            subjects=tuple(
                Subject(name, labels[name], notes=notes_of(name, steps))
                for name in found.predictions
                if found.truth or name != WEAK
            ),
            findings=found.findings,
            differences=found.differences,
            classes=taught.judge.classes,
            groups=taught.judge.groups.names if found.truth else (),
            reliability={name: reliability(of) for name, of in sure.items()},
            confusion={name: confusion(of) for name, of in drawn.items()},
            gallery={name: worst_errors(of, pictures_of(taught.judge)) for name, of in sure.items()},
            roles=summaries,
            not_shown=(
                *limits_of(found.refused, saw, opinions, taught, starts, pupil, seen),
                *about_repeats(taught.judge),
            ),
            record=record,
        )

    kept = keep(asked, out, {"teach and measure": time.perf_counter() - began}, make)
    folders = {seed: kept.folder / "model" / f"seed-{seed}" for seed in starts}
    for seed, finished in zip(starts, models[STUDENT], strict=True):
        _leave(folders[seed], finished, pupil, seed, taught)
    return KeptStudent(kept.card, kept.folder, folders, found.sentence, origins, reused)


def _said(models: Mapping[str, Sequence[Finished]], judge: Rows, progress: Progress) -> dict[str, Tensor]:
    """What each model says of the judge rows, `[starts, rows, classes]`."""
    said: dict[str, Tensor] = {}
    for number, (name, finished) in enumerate(models.items()):
        said[name] = torch.stack([each.says(judge) for each in finished])
        progress("judging", number + 1, len(models))
    return said


def _leave(folder: Path, finished: Finished, pupil: Pupil, seed: int, taught: Taught) -> None:
    """The student as a model, with the columns it reads, and all rows that shaped it or its supervisor."""
    counts = taught.judge.groups.counts() + taught.labels.rows.groups.counts()
    groups = [name for name, count in zip(taught.judge.groups.names, counts.tolist(), strict=True) if count]
    told: dict[str, Any] = {"student": pupil.words, "labels of": taught.labels.by, "seed": seed, GROUPS: groups}
    if taught.encoder is not None:
        told[COLUMNS] = taught.encoder.to_json()
    finished.leave(folder, told)
    names = taught.labels.origins() | pupil.origins
    save_seen(names, folder, inputs_of([taught.labels.rows], names))


def _summaries(taught: Taught) -> tuple[RoleSummary, ...]:
    return (summary_of_role("fit", taught.labels.rows), summary_of_role("judge", taught.judge))
