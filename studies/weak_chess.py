"""Weak to strong on chess: which move mates? Networks of four sizes, taught by smaller ones, and chains of them.

    python studies/weak_chess.py               three seeds; prints tables, keeps what is finished in runs/weak_chess
    python studies/weak_chess.py --quick       few puzzles, in seconds: does it all run?
    python studies/weak_chess.py --publish     also writes docs/weak-chess.md, its data and picture
    python studies/weak_chess.py --tactics     the same with mates in two and tactics among the puzzles; --publish too

A killed run goes on where it was; all of it takes about twelve minutes of one core, two of them for the puzzles, and
with tactics about twenty, twelve of them for the puzzles. What is kept does not know the version of the code: after a
change to it, delete the folder.

Rows: mates in one with exactly one mating move, from random games and endgames (`surefoot.rows.chess`), all different.
Boards are seen by the side that moves, and, where nobody may castle, with the other king on the files a to d: exchanges
of colour and of left and right are no new puzzles. Classes are moves; puzzles whose move occurs less than `rare` times
are left out, as nobody could learn it. A sixth is judged, the same for every seed; the others are halved by the seed:
truth for supervisors, and puzzles that supervisors label (whose truth is the ceilings'). Puzzles of one game stay on
one side of both splits.

With `--tactics`, half of the puzzles are mates in two and moves that win material against best play
(`surefoot.rows.chess.tactics`). All themes are taught together; what is recovered is told of all, and of each one's
judge rows.

A model is a board network (`surefoot.networks.sequence`) of some width and number of blocks, trained from nothing by
AdamW. So what a large student has before its supervisor speaks is its form alone. As a control, the widest pair is run
again with a student (and ceiling) that has first learnt, on all labelled boards, which moves are legal.

Taught beside the losses, as a control: one epoch of cross-entropy in place of all. Pairs of a size with itself are
self-training. The confidence loss hardens to the largest probability: with more classes than rows in a batch there are
no shares of classes to keep.

Bootstrapping: the smallest supervisor teaches the second size, that the third, and that the largest, all on the same
puzzles; beside it, what the supervisor teaches the largest directly.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 (chess), §4.3.1 (bootstrapping). They have pretrained
language models and puzzles of games that people played.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from weak_tables import asked, picture, plain, publish, record_of, rounded, tables, told

from surefoot.files import digest_json, read_json, read_tensors, write_json, write_tensors
from surefoot.findings.compare import compare
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Network
from surefoot.networks.sequence import Pointer, build_board
from surefoot.rows.assign import assign_roles
from surefoot.rows.chess.board import EMPTY, KING, OTHERS
from surefoot.rows.chess.fen import read_fen, write_fen
from surefoot.rows.chess.moves import legal_moves, name_of_move, read_move
from surefoot.rows.chess.puzzles import Puzzle, mate_puzzles
from surefoot.rows.chess.tactics import mate_in_two_puzzles, tactic_puzzles
from surefoot.rows.chess.tokens import TOKENS, mirror, move_of_class, puzzle_rows
from surefoot.rows.rows import Rows
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import WeakLabels, halve, true_labels, weak_labels
from surefoot.supervise.losses import Confidence, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Grid, Said, Size, teach_pairs
from surefoot.supervise.student import Learner, bootstrap, said_of, teach

ROOT = Path(__file__).resolve().parents[1]
BASELINE, SHORT = "cross-entropy", "cross-entropy, 1 epoch"
TITLE = "Chess: which move mates? Board networks taught by smaller ones"
TACTICS_TITLE = "Chess: mates in one and two, and tactics. Board networks taught by smaller ones"
SIDE, OTHER_TOKENS = 8, 2
LONGER = {"mateIn2": mate_in_two_puzzles, "tactic": tactic_puzzles}
PART = 500
FEWEST = 20  # judge rows of a theme that is told


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. models: name, width, blocks, learning rate, from the smallest."""

    puzzles: int = 14_000
    endgames: float = 0.85
    rare: int = 8
    judged: float = 1 / 6
    models: tuple[tuple[str, int, int, float], ...] = (
        ("board4", 4, 1, 0.02),
        ("board8", 8, 1, 0.02),
        ("board16", 16, 2, 0.01),
        ("board32", 32, 3, 0.01),
    )
    epochs: int = 4
    batch: int = 64
    longer: tuple[tuple[str, int], ...] = ()


TACTICS = Settings(puzzles=6_000, longer=(("mateIn2", 4_000), ("tactic", 2_000)))
QUICK = Settings(
    puzzles=300,
    endgames=1.0,
    rare=1,
    models=(("board2", 2, 1, 0.02), ("board3", 3, 1, 0.02), ("board4", 4, 1, 0.02), ("board6", 6, 1, 0.02)),
    epochs=2,
)
QUICK_TACTICS = replace(QUICK, puzzles=180, longer=(("mateIn2", 60), ("tactic", 8)))


@dataclass(frozen=True)
class Recipe:
    """A loss and for how long it is taught."""

    loss: WeakLoss
    epochs: int

    def __call__(self, logits: Tensor, weak: Tensor, done: float) -> Tensor:
        return self.loss(logits, weak, done)


def recipes(settings: Settings) -> dict[str, Recipe]:
    """The baseline first."""
    long = settings.epochs
    return {
        BASELINE: Recipe(CrossEntropy(), long),
        "confidence .5": Recipe(Confidence(0.5, 0.2, "none"), long),
        SHORT: Recipe(CrossEntropy(), 1),
    }


def kept_puzzles(settings: Settings, folder: Path) -> list[Puzzle]:
    """The puzzles of these settings, from the folder where they lie there; longer ones are made and kept in parts."""
    mates = partial(mate_puzzles, settings.puzzles, 0, endgames=settings.endgames, progress=tell)
    puzzles = kept(folder / f"mateIn1 {settings.puzzles} {settings.endgames}.json", mates)
    for theme, count in settings.longer:
        for part, start in enumerate(range(0, count, PART)):
            number = min(PART, count - start)
            make = partial(LONGER[theme], number, part, progress=tell)
            puzzles += kept(folder / f"{theme} {number} of seed {part}.json", make)
    # Mates in one alone keep the names that their published halves were drawn by.
    return distinct(puzzles) if settings.longer else puzzles


def distinct(puzzles: Sequence[Puzzle]) -> list[Puzzle]:
    """Every position once, the first of those where two seeds met, and every name: both sides may mate in one move."""
    positions: set[tuple[bytes, int, int]] = set()
    named: dict[str, Puzzle] = {}
    for puzzle in puzzles:
        position = (puzzle.position.squares, puzzle.position.castling, puzzle.position.passed)
        if position not in positions:
            positions.add(position)
            name = f"{puzzle.name} again" if puzzle.name in named else puzzle.name
            named[name] = replace(puzzle, name=name)
    return list(named.values())


def kept(place: Path, make: Callable[[], list[Puzzle]]) -> list[Puzzle]:
    """The puzzles that lie there, or that are made and then lie there."""
    if not place.exists():
        write_json(
            place,
            [[write_fen(each.position), name_of_move(each.move, each.position.white), each.name, each.game, each.theme]
             for each in make()],
        )  # fmt: skip
    puzzles: list[Puzzle] = []
    for fen, move, name, game, theme in read_json(place):
        position = read_fen(fen)
        puzzles.append(Puzzle(position, read_move(move, position), name, game, theme))
    return puzzles


def faced(puzzle: Puzzle) -> Puzzle:
    """With the other king on the files a to d, unless somebody may castle."""
    king = puzzle.position.squares.index(KING + OTHERS)
    return mirror(puzzle) if king % 8 > 3 and not puzzle.position.castling else puzzle


def split(puzzles: Sequence[Puzzle], settings: Settings) -> tuple[Rows, Rows]:
    """(labelled, judged), the same for every seed."""
    facing = [faced(puzzle) for puzzle in puzzles]
    often = Counter(puzzle.move for puzzle in facing)
    rows = puzzle_rows([puzzle for puzzle in facing if often[puzzle.move] >= settings.rare])
    parts = assign_roles(rows, {"fit": 1 - settings.judged, "judge": settings.judged}, seed=0)
    return parts["fit"], parts["judge"]


def build(settings: Settings, size: int, classes: Sequence[str], seed: int) -> Network:
    _, width, blocks, _ = settings.models[size]
    pointers: list[Pointer] = []
    for name in classes:
        start, end, promotion = move_of_class(name)
        pointers.append((start, end, promotion or EMPTY))
    return build_board(SIDE, OTHER_TOKENS, TOKENS, width, blocks, pointers, seed=100 * seed + size)


@dataclass(frozen=True)
class Chess:
    """The setting as `teach_pairs` asks for it."""

    settings: Settings

    def learner(self, size: int, loss: WeakLoss, classes: Sequence[str], seed: int) -> Learner:
        """Supervisors and ceilings are taught as the baseline is."""
        how = loss if isinstance(loss, Recipe) else recipes(self.settings)[BASELINE]
        name, _, _, rate = self.settings.models[size]
        climb = Ascend(how.epochs, self.settings.batch, rate, weight_decay=0.01)
        return Learner(name, build(self.settings, size, classes, seed), climb, how)

    def __call__(self, size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        learner = self.learner(size, loss, judge.classes, seed)
        point = teach(learner, labels, seed).point()
        # What a student says of the labelled puzzles teaches nobody here: chains say it themselves.
        other = labelled.inputs if labels.by == "truth" else labelled.inputs[:1]
        return Said(*(said_of(learner.network, point, each) for each in (other, judge.inputs)))


def chains(chess: Chess, rows: Rows, judge: Rows, seeds: int, folder: Path) -> dict[str, Predictions]:
    """What the last of each chain says of the judge rows, by loss; the first supervisor's labels are the grid's."""
    settings, found = chess.settings, dict[str, Predictions]()
    for name, loss in recipes(settings).items():
        if name == SHORT:
            continue
        said: list[Tensor] = []
        for seed in range(seeds):
            place = folder / f"chain by {name}, seed {seed}.safetensors"
            if not place.exists():
                parts = halve(rows, seed)
                weak = chess(0, true_labels(parts.weak), CrossEntropy(), seed, parts.student, judge)
                labels = weak_labels(
                    parts.student, weak.labelled, seen=parts.weak.origins(), by=settings.models[0][0]
                )  # fmt: skip
                learners = [chess.learner(size, loss, rows.classes, seed) for size in range(1, len(settings.models))]
                last = bootstrap(learners, labels, seed)[-1]
                answers = said_of(last.learner.network, last.draws.point(), judge.inputs)
                write_tensors(place, {"judge": answers})
                print(f"chain by {name}, seed {seed}", file=sys.stderr, flush=True)
            said.append(read_tensors(place)["judge"])
        found[name] = predictions_for(judge, torch.stack(said))
    return found


def rules_of(puzzles: Sequence[Puzzle], rows: Rows) -> WeakLabels:
    """Rows whose targets are all legal moves alike, as far as they are classes: what the rules say, and no more."""
    positions = {each.name: each.position for puzzle in puzzles for each in (puzzle, faced(puzzle))}
    numbers = {name: number for number, name in enumerate(rows.classes)}
    legal = torch.zeros(len(rows), len(rows.classes))
    for row, name in enumerate(rows.ids.tolist()):
        moves = map(name_of_move, legal_moves(positions[name]))
        legal[row, [numbers[move] for move in moves if move in numbers]] = 1
    return WeakLabels(rows.with_targets(legal / legal.sum(dim=1, keepdim=True)), frozenset(), "the rules")


def knowing(
    chess: Chess, puzzles: Sequence[Puzzle], rows: Rows, judge: Rows, seeds: int, folder: Path
) -> dict[str, Predictions]:
    """The largest size, having learnt which moves are legal on all labelled boards: its ceiling, and by each loss."""
    settings, largest = chess.settings, len(chess.settings.models) - 1
    rules = rules_of(puzzles, rows)
    said: dict[str, list[Tensor]] = {}
    for seed in range(seeds):
        place = folder / f"knowing the rules, seed {seed}.safetensors"
        if not place.exists():
            parts = halve(rows, seed)
            plain_learner = chess.learner(largest, recipes(settings)[BASELINE], rows.classes, seed)
            start = teach(plain_learner, rules, seed).point()
            weak = chess(0, true_labels(parts.weak), CrossEntropy(), seed, parts.student, judge)
            labels = weak_labels(parts.student, weak.labelled, seen=parts.weak.origins(), by=settings.models[0][0])
            taught = {"ceiling": (true_labels(parts.student), recipes(settings)[BASELINE])}
            taught |= {name: (labels, how) for name, how in recipes(settings).items()}
            answers: dict[str, Tensor] = {}
            for name, (given, how) in taught.items():
                learner = replace(chess.learner(largest, how, rows.classes, seed), start=start)
                answers[name] = said_of(learner.network, teach(learner, given, seed).point(), judge.inputs)
                print(f"knowing the rules, {name}, seed {seed}", file=sys.stderr, flush=True)
            write_tensors(place, answers)
        for name, answer in read_tensors(place).items():
            said.setdefault(name, []).append(answer)
    return {name: predictions_for(judge, torch.stack(each)) for name, each in said.items()}


def knowing_record(grid: Grid, said: Mapping[str, Predictions], losses: Sequence[str]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for loss in losses:
        found = recovered_gap(grid.supervisors[0], said[loss], said["ceiling"], source="judge")
        lines.append({
            "loss": loss,
            "student": float(said[loss].correct().mean()),
            "ceiling": float(said["ceiling"].correct().mean()),
            "gained": plain(found.gained),
            "recovered": plain(found.recovered),
        })  # fmt: skip
    return rounded(lines)


def knowing_table(record: Mapping[str, Any]) -> str:
    weak, last = record["sizes"][0], record["sizes"][-1]["name"]
    lines = [
        f"| {weak['name']} to {last} that knows the rules, by | weak, % | student, % | ceiling, % | "
        "student minus weak, points | gap recovered |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in record["knowing"]:
        lines.append(
            f"| {each['loss']} | {100 * weak['supervisor']:.1f} | {100 * each['student']:.1f} | "
            f"{100 * each['ceiling']:.1f} | {told(each['gained'], 100, 1, '+')} | {told(each['recovered'])} |"
        )
    return "\n".join(lines)


def chains_record(grid: Grid, last: Mapping[str, Predictions]) -> list[dict[str, Any]]:
    """Chains beside direct teaching, from the smallest to the largest size."""
    largest = len(grid.sizes) - 1
    weak, ceiling = grid.supervisors[0], grid.ceilings[largest]
    lines: list[dict[str, Any]] = []
    for loss, student in last.items():
        direct = grid.students[0, largest, loss]
        change = next(
            each
            for each in compare(direct, student, before_name="direct", after_name="chain", source="judge")
            if (each.name, each.slice) == ("accuracy", "all")
        )
        lines.append({
            "loss": loss,
            "direct": float(direct.correct().mean()),
            "chain": float(student.correct().mean()),
            "direct_recovered": plain(recovered_gap(weak, direct, ceiling, source="judge").recovered),
            "chain_recovered": plain(recovered_gap(weak, student, ceiling, source="judge").recovered),
            "change": plain(change),
        })  # fmt: skip
    return rounded(lines)


def chains_table(record: Mapping[str, Any]) -> str:
    first, last = record["sizes"][0]["name"], record["sizes"][-1]["name"]
    lines = [
        f"| {first} to {last} by | direct, % | chain, % | chain minus direct, points | gap recovered, direct | "
        "gap recovered, chain |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in record["chains"]:
        lines.append(
            f"| {each['loss']} | {100 * each['direct']:.1f} | {100 * each['chain']:.1f} | "
            f"{told(each['change'], 100, 1, '+')} | {told(each['direct_recovered'])} | "
            f"{told(each['chain_recovered'])} |"
        )
    return "\n".join(lines)


def themes_record(
    grid: Grid,
    rows: Rows,
    puzzles: Sequence[Puzzle],
    knows: Mapping[str, Predictions],
) -> list[dict[str, Any]]:
    """The widest pair on the judge rows of each theme that has enough: by every loss, and where it knows the rules."""
    themes = {each.name: each.theme.split()[0] for puzzle in puzzles for each in (puzzle, faced(puzzle))}
    last = len(grid.sizes) - 1
    lines: list[dict[str, Any]] = []
    for theme in dict.fromkeys(puzzle.theme.split()[0] for puzzle in puzzles):
        of = torch.tensor([themes[name] == theme for name in grid.judge.ids.tolist()])
        judge = grid.judge.take(of)
        if len(judge) < FEWEST:
            continue

        def part(said: Predictions, of: Tensor = of, judge: Rows = judge) -> Predictions:
            return predictions_for(judge, said.probabilities[:, of])

        weak, ceilings = part(grid.supervisors[0]), [part(grid.ceilings[size]) for size in range(last + 1)]
        students = {loss: (part(grid.students[0, last, loss]), ceilings[last]) for _, _, loss in grid.students}
        students[f"{BASELINE}, knows the rules"] = (part(knows[BASELINE]), part(knows["ceiling"]))
        taught: list[dict[str, Any]] = []
        for loss, (student, ceiling) in students.items():
            found = recovered_gap(weak, student, ceiling, source="judge")
            taught.append({
                "loss": loss,
                "student": float(student.correct().mean()),
                "ceiling": float(ceiling.correct().mean()),
                "gap": plain(found.gap),
                "gained": plain(found.gained),
                "recovered": plain(found.recovered),
            })  # fmt: skip
        lines.append({
            "theme": theme,
            "labelled": sum(themes[name] == theme for name in rows.ids.tolist()),
            "judged": len(judge),
            "supervisors": [float(part(grid.supervisors[size]).correct().mean()) for size in range(last + 1)],
            "ceilings": [float(each.correct().mean()) for each in ceilings],
            "taught": taught,
        })  # fmt: skip
    return rounded(lines)


def themes_tables(record: Mapping[str, Any]) -> list[str]:
    """Two blocks: how well each size does each theme on the truth, and what the widest pair recovers of each."""
    names = [each["name"] for each in record["sizes"]]
    truth = [
        f"| theme | labelled | judged | {' | '.join(f'{name} as ceiling, %' for name in names)} |",
        f"| --- | --- | --- |{' --- |' * len(names)}",
    ]
    pair = [
        f"| {names[0]} to {names[-1]}, of | by | weak, % | student, % | ceiling, % | gap, points | "
        "student minus weak, points | gap recovered |",
        f"|{' --- |' * 8}",
    ]
    for each in record["themes"]:
        shares = " | ".join(f"{100 * share:.1f}" for share in each["ceilings"])
        truth.append(f"| {each['theme']} | {each['labelled']:,} | {each['judged']:,} | {shares} |")
        for by in each["taught"]:
            pair.append(
                f"| {each['theme']} | {by['loss']} | {100 * each['supervisors'][0]:.1f} | {100 * by['student']:.1f} | "
                f"{100 * by['ceiling']:.1f} | {told(by['gap'], 100, 1)} | {told(by['gained'], 100, 1, '+')} | "
                f"{'no gap' if by['recovered'] is None else told(by['recovered'])} |"
            )
    return ["\n".join(truth), "\n".join(pair)]


def blocks_of(record: Mapping[str, Any]) -> list[str]:
    """The page's tables, in its order."""
    sizes, *others = tables(record)
    themes = themes_tables(record) if "themes" in record else []
    return [sizes, *themes, *others, chains_table(record), knowing_table(record)]


def study(settings: Settings, seeds: int, folder: Path) -> dict[str, Any]:
    """The record of the setting; models are told on stderr as they are finished."""
    folder = folder / digest_json(asdict(settings))[:10]
    puzzles = kept_puzzles(settings, folder.parent / "puzzles")
    rows, judge = split(puzzles, settings)
    chess = Chess(settings)
    sizes: list[Size] = []
    for size, (name, *_) in enumerate(settings.models):
        module = build(settings, size, rows.classes, 0).module
        sizes.append(Size(name, sum(each.numel() for each in module.parameters())))
    grid = teach_pairs(sizes, rows, judge, chess, recipes(settings), range(seeds), folder=folder, progress=tell)
    record = record_of(grid, asdict(settings), seeds, baseline=BASELINE)
    last = chains(chess, rows, judge, seeds, folder)
    knows = knowing(chess, puzzles, rows, judge, seeds, folder)
    themes = {"themes": themes_record(grid, rows, puzzles, knows)} if settings.longer else {}
    return {
        **record,
        **themes,
        "rows": {"labelled": len(rows), "games": len(rows.origins()), "classes": len(rows.classes)},
        "chains": chains_record(grid, last),
        "knowing": knowing_record(grid, knows, list(recipes(settings))),
    }


def tell(stage: str, done: int, total: int) -> None:
    step = max(1, total // 20)
    if done % step == 0 or done == total:
        print(f"[{done}/{total}] {stage}", file=sys.stderr, flush=True)


def main() -> None:
    chosen = asked(__doc__, seeds=3, quick_seeds=1, folder=ROOT / "runs" / "weak_chess", tactics=True)
    if chosen.tactics:
        settings, title, name = QUICK_TACTICS if chosen.quick else TACTICS, TACTICS_TITLE, "chess-tactics"
    else:
        settings, title, name = QUICK if chosen.quick else Settings(), TITLE, "chess"
    record = study(settings, chosen.seeds, chosen.folder)
    blocks, drawn = blocks_of(record), picture(record, title, "confidence .5")
    print("\n\n".join(blocks))
    if chosen.publish:
        publish(name, record, blocks, drawn, page="weak-chess.md")


if __name__ == "__main__":
    main()
