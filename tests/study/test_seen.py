"""What a saved model has seen is known by name and by input, whatever a file calls its rows."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.networks.weights import ModelRecord, open_model, save_model
from surefoot.rows.rows import Rows, make_rows
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.predict import predict, rows_for, with_groups_of
from surefoot.study.once.repair import repair_features
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import load_study
from surefoot.study.seen import Seen, inputs_of, load_seen_inputs, seen_of_model, write_seen_inputs

COUNT, TRAINED = 600, 300


def table(
    path: Path, rows: slice = slice(None), *, seed: int = 0, ids: Sequence[str] = (), **more: Sequence[str]
) -> Path:
    """People with four measurements; the first half train."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, COUNT)
    x = random.normal(size=(COUNT, 4))
    x[:, 0] += 1.2 * y
    place = random.integers(0, 2, COUNT)
    split = ["train"] * TRAINED + ["val"] * 150 + ["test"] * 150
    columns: dict[str, Sequence[object]] = {f"f{at}": [repr(float(value)) for value in x[:, at]] for at in range(4)}
    columns |= {"y": y.tolist(), "place": place.tolist(), "split": split, **more}
    columns |= {"id": list(ids)} if ids else {}
    lines = [",".join(columns), *(",".join(map(str, row)) for row in list(zip(*columns.values(), strict=True))[rows])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def model_of(path: Path, out: Path) -> Path:
    features = tuple(f"f{at}" for at in range(4))
    columns = Columns(groups=("place",), features=features)
    return repair_features(path, columns=columns, methods=["class_balanced"], out=out).folder / "model"


def seen_column(model: Path, path: Path, columns: Columns = USUAL) -> list[str]:
    return [row["seen"] for row in csv.DictReader(io.StringIO(predict(str(model), path, columns=columns)))]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table without ids, and a model of it."""
    folder = tmp_path_factory.mktemp("plain")
    return (path := table(folder / "t.csv")), model_of(path, folder / "runs")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a table with ids p0, p1, …"""
    folder = tmp_path_factory.mktemp("named")
    return model_of(table(folder / "t.csv", ids=[f"p{row}" for row in range(COUNT)]), folder / "runs")


ALL = ["yes"] * 450 + ["no"] * 150  # fit, repair and choose rows


def run(study: Path) -> Outcome:
    out = study.parent / "runs"
    return run_study(load_study(study), study.parent, out=out, engine="in_process", product="default")


def refused(model: Path, rows: Rows) -> bool:
    seen = seen_of_model(model)
    assert seen is not None
    try:
        seen.refuse(rows, "it")
    except InputError:
        return True
    return False


def test_a_file_that_changed_superficially_is_the_same_rows(plain: tuple[Path, Path], tmp_path: Path) -> None:
    path, model = plain
    blank = tmp_path / "blank.csv"
    blank.write_text(path.read_text() + "\n", encoding="utf-8")
    assert seen_column(model, blank) == ALL
    part = table(tmp_path / "part.csv", slice(0, 300))
    assert seen_column(model, part) == ["yes"] * 300
    assert refused(model, rows_for(open_model(str(model)), USUAL, part))
    fresh = table(tmp_path / "fresh.csv", slice(450, 600))
    rows = rows_for(open_model(str(model)), USUAL, fresh)
    assert not refused(model, rows)
    assert "by input alone" in " ".join((seen_of_model(model) or Seen(frozenset())).told(rows))


def test_parquet_is_the_same_rows(plain: tuple[Path, Path], tmp_path: Path) -> None:
    import pandas as pd

    path, model = plain
    pd.read_csv(path).to_parquet(tmp_path / "t.parquet")
    assert seen_column(model, tmp_path / "t.parquet") == ALL


def test_renamed_rows_are_the_same_rows(named: Path, tmp_path: Path) -> None:
    ids = [f"p{row}" for row in range(COUNT)]
    renamed = table(tmp_path / "t.csv", ids=[f"x{name}" for name in ids], other=ids)
    assert seen_column(named, renamed) == ALL
    for columns in (Columns(id="other"), Columns(source="other")):
        assert seen_column(named, renamed, columns) == ALL


def test_other_people_with_the_same_numbers_are_other_people(tmp_path: Path) -> None:
    numbers = [str(row) for row in range(COUNT)]
    model = model_of(table(tmp_path / "a.csv", ids=numbers), tmp_path / "runs")
    others = table(tmp_path / "b.csv", seed=1, ids=numbers)
    assert seen_column(model, others) == ["no"] * COUNT
    rows = rows_for(open_model(str(model)), USUAL, others)
    assert not refused(model, rows)
    (told,) = (seen_of_model(model) or Seen(frozenset())).told(rows)
    assert told.startswith("Rows were compared by input alone, for their names say where they stand in a file")
    (model / "seen_inputs.json").unlink()  # a model of before: numbers are all there is
    assert seen_column(model, others) == ALL
    assert refused(model, rows)


def test_names_are_compared_beside_inputs(named: Path, tmp_path: Path) -> None:
    """A changed picture under its name, and a crop that names it."""
    names = [f"p{row}" for row in range(COUNT)]
    assert seen_column(named, table(tmp_path / "a.csv", seed=1, ids=names)) == ALL
    crops = table(tmp_path / "b.csv", seed=2, ids=[f"crop{row}" for row in range(COUNT)], source=names)
    assert seen_column(named, crops) == ALL


def test_originals_that_name_no_source_were_seen(tmp_path: Path) -> None:
    ids = [str(row) for row in range(COUNT)]  # ids that are numbers are not compared as ids
    source = ["" if row % 2 == 0 else str(row - 1) for row in range(COUNT)]
    path = table(tmp_path / "t.csv", ids=ids, source=source)
    model = model_of(path, tmp_path / "runs")
    (model / "seen_inputs.json").unlink()
    assert seen_column(model, path) == ALL


def of_few_values(rows: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    values = np.stack([random.integers(0, 30, rows), random.integers(0, 30, rows)], axis=1)
    ids = np.array([f"{seed}:person {row}" for row in range(rows)])
    return make_rows(torch.from_numpy(values).float(), torch.zeros(rows, dtype=torch.int64), ids=ids)


def test_in_a_table_of_few_values_other_people_may_look_the_same() -> None:
    fit, others = of_few_values(400, 0), of_few_values(400, 1)
    seen = Seen(fit.origins(), inputs_of([fit], fit.origins()))
    assert seen.inputs is not None
    assert not seen.inputs.telling
    assert 0.1 < seen.inputs.usual < 0.4
    seen.refuse(others, "it")
    assert not seen.rows(others).any()
    assert "they can be other people" in " ".join(seen.told(others))
    renamed = make_rows(fit.inputs, fit.targets, ids=others.ids)
    with pytest.raises(
        InputError, match=r"400 of 400 judge rows .* have the very inputs of rows that were already seen"
    ):
        seen.refuse(renamed, "it")
    assert seen.rows(renamed).all()


def test_new_people_of_one_site_are_not_taken_for_those_seen() -> None:
    """Two in five of those seen answered three questions of yes and no, the others told their income, too: new people
    of the first site have the answers of hundreds, and of nobody in particular."""
    random = np.random.default_rng(0)

    def people(rows: int, of_first: float, name: str) -> Rows:
        answers = random.integers(0, 2, (rows, 3))
        income = np.where(random.random(rows) < of_first, 0, random.integers(1, 2000, rows))
        ids = np.array([f"{name}-{row}-x" for row in range(rows)])
        inputs = torch.from_numpy(np.column_stack([answers, income])).float()
        return make_rows(inputs, torch.zeros(rows, dtype=torch.int64), ids=ids)

    fit = people(600, 0.4, "fit")
    seen = Seen(fit.origins(), inputs_of([fit], fit.origins()))
    seen.refuse(people(300, 1.0, "new"), "it")
    seen.refuse(people(300, 0.4, "mixed"), "it")
    with pytest.raises(InputError, match="have the very inputs"):
        seen.refuse(make_rows(fit.inputs, fit.targets, ids=np.char.add("other ", fit.ids)), "it")


def test_pictures_that_are_merely_counted_are_compared_by_what_they_show() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = np.array([f"round/{row:02d}.png" for row in range(40)])
    here, there = (
        make_rows(torch.rand(40, 1, 4, 4, generator=generator), torch.zeros(40).long(), ids=ids) for _ in "ab"
    )
    seen = Seen(here.origins(), inputs_of([here], here.origins()))
    seen.refuse(there, "it")
    with pytest.raises(InputError, match="40 of 40 judge rows"):
        seen.refuse(here, "it")


def test_inputs_of_another_kind_are_not_compared() -> None:
    rows = make_rows(torch.zeros(3, 2), torch.tensor([0, 1, 0]))
    seen = Seen(rows.origins(), inputs_of([rows], rows.origins()))
    wide = make_rows(torch.zeros(3, 5), torch.tensor([0, 1, 0]))
    with pytest.raises(InputError, match="3 sources of the judge rows"):
        seen.refuse(wide, "it")  # then a number is all there is


def test_what_was_seen_is_written_and_read(tmp_path: Path) -> None:
    rows = make_rows(torch.randn(100, 3), torch.zeros(100, dtype=torch.int64))
    inputs = inputs_of([rows], rows.origins())
    assert inputs is not None
    write_seen_inputs(inputs, tmp_path)
    assert load_seen_inputs(tmp_path) == inputs
    assert (tmp_path / "seen_inputs.json").stat().st_size < 34 * 100 + 200
    (tmp_path / "seen_inputs.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is not what surefoot writes"):
        load_seen_inputs(tmp_path)


STUDY = """\
study: mine
rows:
  table: {path: t.csv, target: y, attributes: [place], columns: [f0, f1, f2, f3], id: id}
  repair_share: 0.2
network: {linear: {}}
base: {plain: {epochs: 2}}
mitigations: {balanced: {method: class_balanced, learn: repair}}
claims:
  - {finding: accuracy, of: chosen, at_least: 0.5}
"""


def test_a_model_that_a_study_chose_has_seen_the_rows_it_was_chosen_on(tmp_path: Path) -> None:
    ids = [f"p{row}" for row in range(COUNT)]
    path = table(tmp_path / "t.csv", ids=ids)
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    outcome = run(tmp_path / "s.yaml")
    for subject, fit in {"plain": 240, "plain+balanced": 300}.items():
        (model,) = (outcome.folder / "models" / subject).glob("seed-*")
        renamed = table(tmp_path / "renamed.csv", ids=[f"x{name}" for name in ids])
        for given in (path, renamed):
            column = seen_column(model, given)
            assert (column[:300].count("yes"), set(column[300:450]), set(column[450:])) == (fit, {"yes"}, {"no"})


def test_a_study_of_a_finished_model_compares_inputs(tmp_path: Path) -> None:
    """Its record is of other people whose ids are also numbers; and of these very rows under other names."""
    numbers = [str(row) for row in range(COUNT)]
    model = model_of(table(tmp_path / "t.csv", ids=numbers), tmp_path / "runs")
    text = STUDY.replace("network: {linear: {}}\n", "").replace("plain: {epochs: 2}", f"theirs: {{model: {model}}}")
    text = text.replace("repair_share: 0.2", "roles: {repair: 0.3, choose: 0.3, judge: 0.4}")
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    table(tmp_path / "t.csv", seed=1, ids=numbers)
    assert run(tmp_path / "s.yaml").card.verdict == "passed"
    table(tmp_path / "t.csv", slice(0, 300), ids=[f"x{name}" for name in numbers])
    with pytest.raises(InputError, match=r"judge rows .* have the very inputs of rows that were already seen"):
        run(tmp_path / "s.yaml")


def test_every_way_to_hang_together_is_written(plain: tuple[Path, Path], tmp_path: Path) -> None:
    _, model = plain
    patient, scanner = [f"s{row // 4}" for row in range(COUNT)], [f"c{row % 7}" for row in range(COUNT)]
    path = table(tmp_path / "t.csv", seed=1, source=patient, cluster=scanner)
    written = list(csv.DictReader(io.StringIO(predict(str(model), path))))
    assert [len({row[name] for row in written}) for name in ("cluster", "cluster:2")] == [7, 150]


def test_labels_that_are_words_need_a_model_that_knows_them(tmp_path: Path) -> None:
    record = ModelRecord({"linear": {"inputs": 4, "classes": 2}}, "head", ("dog", "cat"), (4,), {})
    save_model(tmp_path / "m", {"head.weight": torch.ones(2, 4), "head.bias": torch.zeros(2)}, record)
    path = table(tmp_path / "t.csv", label=[("cat", "dog")[row % 2] for row in range(COUNT)])
    opened, columns = open_model(str(tmp_path / "m")), Columns(target="label", features=("f0", "f1", "f2", "f3"))
    assert rows_for(opened, columns, path).classes == ("dog", "cat")
    with pytest.raises(InputError, match=r"are words \(cat, dog\) and the model does not say"):
        rows_for(opened._replace(record=None), columns, path)


def test_groups_that_the_model_knew_and_the_rows_lack_are_kept(plain: tuple[Path, Path], tmp_path: Path) -> None:
    _, model = plain
    opened = open_model(str(model))
    ones = table(tmp_path / "t.csv", seed=1, place=["1"] * COUNT)
    rows = with_groups_of(opened, rows_for(opened, Columns(groups=("place",)), ones))
    counts = dict(zip(rows.groups.names, rows.groups.counts().tolist(), strict=True))
    assert counts.keys() == {f"{label}, place={place}" for label in (0, 1) for place in (0, 1)}
    assert counts["0, place=0"] == counts["1, place=0"] == 0
    other = rows_for(opened, Columns(groups=("split",)), ones)
    assert with_groups_of(opened, other) is other


def test_a_head_that_has_seen_the_rows_under_another_name_is_refused(plain: tuple[Path, Path], tmp_path: Path) -> None:
    _, model = plain
    split = ["test"] * 100 + ["train"] * 300 + ["val"] * 200
    path = table(tmp_path / "t.csv", split=split)
    with pytest.raises(InputError, match="have the very inputs of rows that were already seen by the model in"):
        repair_features(path, head=str(model), methods=["class_balanced"], out=tmp_path / "runs")
