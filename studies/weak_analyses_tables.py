"""The tables and the picture of `weak_analyses.py`, made of its record alone (and of docs/data/weak-vision.json)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import weak_tables
from curves import Axis, Line, Panel, chart
from weak_tables import COLOURS, GREY, told
from weak_tuned import BASELINE, CONFIDENT, HEAD, HEAD_CONFIDENT

__all__ = ["picture", "tables"]

Record: TypeAlias = Mapping[str, Any]

TITLE = "Digits, whole networks taught by smaller ones: courses, heads, mistakes, linearity"
SHORT = {BASELINE: "cross-entropy", CONFIDENT: "confidence .75", HEAD: "cross-entropy, head"}


def tables(record: Record, frozen: Record) -> list[str]:
    """Twelve blocks, in the order of the page."""
    return [
        *weak_tables.tables(record),
        _heads(record, frozen),
        _confidence(record),
        _courses(record),
        _filtering(record),
        _neighbours(record),
        _simulated(record),
        _linear(record, "many"),
        _linear(record, "few"),
    ]


def picture(record: Record) -> str:
    """Six panels."""
    called = [(BASELINE, 0), (BASELINE, 1), (CONFIDENT, 0)]
    ran: list[Record] = []
    for way, number in called:
        ran.append([each for each in record["courses"] if each["way"] == way][number])
    return chart(TITLE, [*map(_course, ran), _against_heads(record), _mistakes(record), _probes(record)])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def _named(each: Record) -> str:
    return f"{each['weak']} → {each['strong']}"


def _share(found: Record | None) -> str:
    return "no gap" if found is None else told(found)


def _of(record: Record, weak: str, strong: str, loss: str) -> Record | None:
    return next(
        (each for each in record["pairs"] if (each["weak"], each["strong"], each["loss"]) == (weak, strong, loss)), None
    )


def _heads(record: Record, frozen: Record) -> str:
    rows: list[list[str]] = []
    for each in record["heads"]:
        for loss in (BASELINE, CONFIDENT):
            own = _of(record, each["weak"], each["strong"], loss)
            published = _of(frozen, each["weak"], each["strong"], loss)
            assert own is not None
            rows.append([
                f"{_named(each)}, {loss}", f"{100 * own['supervisor']:.1f}", _share(own["recovered"]),
                told(each[loss]["minus_head"], 100, 1, "+"), _share(each[loss]["recovered_by_head"]),
                "—" if published is None else _share(published["recovered"]),
            ])  # fmt: skip
    names = ["pair, taught by", "weak, %", "fine-tuned: gap recovered", "minus head of the same labels, points",
             "head: gap recovered, to the heads' ceiling", "head, of frozen supervisors (weak-vision)"]  # fmt: skip
    return _table(names, rows)


def _confidence(record: Record) -> str:
    rows: list[list[str]] = []
    for each in record["pairs"]:
        if each["itself"] or each["loss"] not in (BASELINE, CONFIDENT, HEAD, HEAD_CONFIDENT):
            continue
        found = each["disagreement"]
        rows.append([
            f"{_named(each)}, {each['loss']}",
            *(told(found.get(name), 100, 1) for name in (
                "supervisor_agreement", "agreement_with_right_labels", "agreement_with_wrong_labels",
                "right_in_disagreement")),
            told(found.get("overconfidence_in_disagreement"), 100, 1, "+"),
        ])  # fmt: skip
    names = ["pair, taught by", "agrees, %", "… where the label is right", "… where it is wrong",
             "right where they differ, %", "overconfident there, points"]  # fmt: skip
    return _table(names, rows)


def _courses(record: Record) -> str:
    rows: list[list[str]] = []
    for each in record["courses"]:
        stopped = [at for at in each["stopped"] if at is not None]
        last = len(each["truth"])
        early = sum(at < last for at in each["chosen"])
        rows.append([
            f"{_named(each)}, {SHORT[each['way']]}", _share(each["shares"]["last epoch"]),
            _share(each["shares"]["true labels"]), _share(each["shares"]["weak labels"]),
            f"{each['epochs']['true labels']:.1f}", f"{each['epochs']['weak labels']:.1f}",
            f"{early} of {len(each['chosen'])}", f"{len(stopped)} of {len(each['stopped'])}",
            *(told(each["gained"][f"gained_by_{by}"], 100, 1, "+")
              for by in ("true_labels", "weak_labels", "patience")),
        ])  # fmt: skip
    names = ["pair, taught by", "gap recovered: last", "… best by truth (oracle)", "… best by weak labels",
             "epoch by truth", "by weak labels", "best by weak labels is not the last", "patience of 3 would end it",
             "oracle minus last, points", "weak labels minus last", "patience minus last"]  # fmt: skip
    return _table(names, rows)


def _filtering(record: Record) -> str:
    rows: list[list[str]] = []
    for each in record["neighbours"]:
        if each["way"] != BASELINE:
            continue
        rows.append([
            _named(each),
            *(told(each["quality"][name], 100, 1) for name in ("wrong", "precision", "recall", "right", "mended")),
        ])  # fmt: skip
    names = ["pair", "labels wrong, %", "of those left out, wrong (precision)", "of wrong ones, left out (recall)",
             "kept labels right, %", "relabelled right, %"]  # fmt: skip
    return _table(names, rows)


def _neighbours(record: Record) -> str:
    rows: list[list[str]] = []
    for each in record["neighbours"]:
        for version, found in each["versions"].items():
            rows.append([
                f"{_named(each)}, {SHORT[each['way']]}", version, f"{100 * each['supervisor']:.1f}",
                f"{100 * found['student']:.1f}", f"{100 * each['ceiling']:.1f}", _share(found["recovered"]),
                told(found["against"], 100, 1, "+"),
            ])  # fmt: skip
    names = ["pair, taught by", "labels", "weak, %", "student, %", "ceiling, %", "gap recovered",
             "minus all labels, points"]  # fmt: skip
    return _table(names, rows)


def _simulated(record: Record) -> str:
    rows: list[list[str]] = []
    for each in record["simulated"]:
        for structure, found in each["rows"].items():
            rows.append([
                f"{_named(each)}, {SHORT[each['way']]}", structure, f"{100 * found['supervisor']:.1f}",
                f"{100 * found['student']:.1f}", f"{100 * each['ceiling']:.1f}", _share(found["recovered"]),
                told(found["taught_mistakes_repeated"], 100, 1),
                told(found["disagreement"].get("agreement_with_wrong_labels"), 100, 1),
            ])  # fmt: skip
    names = ["pair, taught by", "mistakes", "labels right, %", "student, %", "ceiling, %", "gap recovered",
             "repeats of the wrong labels it was taught, %", "of those of judge rows, %"]  # fmt: skip
    return _table(names, rows)


def _linear(record: Record, label: str) -> str:
    rows: list[list[str]] = []
    for each in record["linear"]:
        for called, found in each["rows"].items():
            own = "—" if found["own"] is None else f"{100 * found['own']:.1f}"
            rows.append([
                each["strong"], called, own, told(found[f"{label}: linear_accuracy"], 100, 1),
                told(found.get(f"{label}: linear_accuracy_gained"), 100, 1, "+"),
            ])  # fmt: skip
    count = record["linear"][0][label]
    names = ["network", "body", "the student itself, %", f"probe of {count:,} true labels, %",
             "minus the pretrained body, points"]  # fmt: skip
    return _table(names, rows)


def _percents(low: float, high: float, label: str) -> Axis:
    return Axis(label, low, high, [tick / 10 for tick in range(11) if low <= tick / 10 <= high], percent=True)


def _course(each: Record) -> Panel:
    last = len(each["truth"])
    epochs = range(1, last + 1)
    every = [*each["truth"], *each["agreement"], each["supervisor"], each["ceiling"]]
    up = _percents(int(10 * min(every)) / 10, min(1.0, int(10 * max(every) + 1) / 10), "of the judge rows")
    lines = [
        Line("trained on the truth", GREY, [(1, each["ceiling"]), (last, each["ceiling"])]),
        Line("supervisor", GREY, [(1, each["supervisor"]), (last, each["supervisor"])], dashed=True),
        Line("student: right", COLOURS[1], list(zip(epochs, each["truth"], strict=True)), dots=True),
        Line("student: agrees with the supervisor", COLOURS[4], list(zip(epochs, each["agreement"], strict=True)),
             dots=True),
    ]  # fmt: skip
    step = max(1, last // 4)
    across = Axis("epoch", 0, last, range(0, last + 1, step))
    return Panel(f"{_named(each)}, {SHORT[each['way']]}", across, up, lines)


def _against_heads(record: Record) -> Panel:
    lines: list[Line] = []
    for number, loss in enumerate((BASELINE, CONFIDENT)):
        named = False
        for each in record["heads"]:
            own = _of(record, each["weak"], each["strong"], loss)
            assert own is not None
            minus = each[loss]["minus_head"]["value"]
            lines.append(
                Line("" if named else loss, COLOURS[number + 1], [(own["supervisor"], minus)], dots=True)
            )  # fmt: skip
            named = True
    seen = [line.points[0] for line in lines]
    low = int(10 * min(x for x, _ in seen)) / 10
    least, most = min(0.0, *(y for _, y in seen)), max(0.0, *(y for _, y in seen))
    ticks = [tick / 20 for tick in range(-20, 21) if least - 0.05 <= tick / 20 <= most + 0.05]
    up = Axis("fine-tuned minus head", least - 0.02, most + 0.02, ticks, percent=True)
    across = _percents(low, 1.0, "supervisor's accuracy")
    zero = Line("as good as a head of the same labels", GREY, [(low, 0), (1, 0)], dashed=True)
    return Panel("Fine-tuned students and heads", across, up, [zero, *lines])


def _mistakes(record: Record) -> Panel:
    each = next(one for one in record["simulated"] if one["way"] == BASELINE)
    lines: list[Line] = []
    for number, (structure, found) in enumerate(each["rows"].items()):
        repeated = found["disagreement"]["agreement_with_wrong_labels"]["value"]
        lines.append(Line(structure, COLOURS[number], [(repeated, found["student"])], dots=True))
    every = [found["student"] for found in each["rows"].values()] + [each["ceiling"]]
    low = int(10 * min(*every, *(found["supervisor"] for found in each["rows"].values()))) / 10
    supervisor = next(iter(each["rows"].values()))["supervisor"]
    lines.append(Line("their accuracy", GREY, [(0, supervisor), (1, supervisor)], dashed=True))
    up = _percents(low, 1.0, "student's accuracy")
    across = Axis("repeats of the mistakes, judge rows", 0.0, 1.0, (0, 0.2, 0.4, 0.6, 0.8, 1), percent=True)
    return Panel(f"Equally wrong labels: {_named(each)}", across, up, lines)


def _probes(record: Record) -> Panel:
    each = record["linear"][-1]
    lines: list[Line] = []
    shown = {called: found for called, found in each["rows"].items() if CONFIDENT not in called}
    for number, (called, found) in enumerate(shown.items()):
        points = [(each[label], found[f"{label}: linear_accuracy"]["value"]) for label in ("few", "many")]
        dashed = called.startswith("never pretrained")
        lines.append(Line(called, COLOURS[number], points, dashed=dashed, dots=True))
    every = [y for line in lines for _, y in line.points]
    up = _percents(int(10 * min(every)) / 10, 1.0, "accuracy of the probe")
    across = Axis("true labels of the probe", 0.8 * each["few"], 1.25 * each["many"], (each["few"], each["many"]),
                  logarithmic=True)  # fmt: skip
    return Panel(f"Linear probes of {each['strong']}", across, up, lines)
