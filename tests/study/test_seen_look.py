"""`look`, `card` and cards of classifiers keep what rows are: seen, copies, hanging together, in groups."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.sklearn import card_of
from surefoot.study.once.columns import Columns
from surefoot.study.once.measure import card_from_predictions, look
from surefoot.study.once.predict import predict
from surefoot.study.once.repair import repair_features

GROUPED = Columns(groups=("place",))


def table(path: Path, rows: slice = slice(None), *, seed: int = 0, **more: list[str]) -> Path:
    random = np.random.default_rng(seed)
    y, place = random.integers(0, 2, 600), random.integers(0, 3, 600)
    x = random.normal(size=(600, 3)) + 2 * y[:, None]
    columns = {f"f{at}": x[:, at].tolist() for at in range(3)} | {"y": y.tolist(), "place": place.tolist()} | more
    lines = [",".join(columns), *(",".join(map(str, row)) for row in list(zip(*columns.values(), strict=True))[rows])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    split = ["train"] * 300 + ["val"] * 150 + ["test"] * 150
    path = table(folder / "t.csv", split=split)
    return repair_features(path, columns=GROUPED, methods=["class_balanced"], out=folder / "runs").folder / "model"


def test_look_knows_its_training_rows_in_another_file(model: Path, tmp_path: Path) -> None:
    part = table(tmp_path / "part.csv", slice(0, 300))
    with pytest.raises(
        InputError, match=r"300 of 300 judge rows .* have the very inputs of rows that were already seen"
    ):
        look(str(model), part, columns=GROUPED, out=tmp_path)
    card = look(str(model), table(tmp_path / "new.csv", seed=1), columns=GROUPED, out=tmp_path).card
    assert card.not_shown[0].startswith("Rows were compared by input alone")


def test_look_keeps_the_groups_that_no_row_is_in(model: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "new.csv", seed=1, place=[str(row % 2) for row in range(600)])
    card = look(str(model), path, columns=GROUPED, out=tmp_path).card
    worst = {each.slice for each in card.findings if each.name == "worst_group_accuracy"}
    assert worst == {"all groups but 0, place=2; 1, place=2"}
    with pytest.raises(InputError):
        look(str(model), path, columns=GROUPED, claims=["worst_group_accuracy >= 0.1"], out=tmp_path)


def test_every_way_to_hang_together_reaches_the_card(model: Path, tmp_path: Path) -> None:
    patient, scanner = [f"s{row // 4}" for row in range(600)], [f"c{row % 7}" for row in range(600)]
    path = table(tmp_path / "t.csv", seed=1, source=patient, cluster=scanner)
    looked = look(str(model), path, columns=GROUPED, out=tmp_path).card
    (tmp_path / "p.csv").write_text(predict(str(model), path, columns=GROUPED), encoding="utf-8")
    judged = card_from_predictions(tmp_path / "p.csv", out=tmp_path).card
    intervals = [
        next(each.interval for each in card.findings if each.name == "accuracy" and each.slice == "all")
        for card in (looked, judged)
    ]
    assert intervals[0] is not None
    assert intervals[1] is not None
    assert intervals[0].low == pytest.approx(intervals[1].low)
    assert intervals[0].high == pytest.approx(intervals[1].high)
    assert {"cluster", "cluster:2"} < set(next(csv.reader(io.StringIO((tmp_path / "p.csv").read_text()))))


def test_copies_are_one_piece_of_evidence_for_a_classifier() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(100, 4)), random.integers(0, 2, 100)
    given = np.where((random.random(100) < 0.8) == (y == 1), 0.9, 0.1)
    probabilities = np.stack([1 - given, given], axis=1)

    def width(times: int) -> float:
        card = card_of(np.tile(probabilities, (times, 1)), np.tile(x, (times, 1)), np.tile(y, times))
        interval = next(each.interval for each in card.findings if each.name == "accuracy")
        assert interval is not None
        return interval.high - interval.low

    assert width(30) > 0.9 * width(1)
    ages = random.integers(20, 80, (200, 1))
    few = card_of(np.tile(probabilities, (2, 1)), ages, np.tile(y, 2))
    assert any("repeat another's inputs exactly" in words for words in few.not_shown)
