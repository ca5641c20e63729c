"""Addresses name content: what changes a number changes them, what does not leaves them; and who may see what."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from surefoot.errors import InputError
from surefoot.files import write_json, write_tensors
from surefoot.rows.dominoes import dominoes
from surefoot.study.cells import Cell, cell_from_json, cell_to_json, in_order, needs
from surefoot.study.graph import Graph, graph_of
from surefoot.study.judged import training_proportions
from surefoot.study.plan import plan_study
from surefoot.study.schema import Study, load_study
from surefoot.study.stored import save_rows
from surefoot.study.work.kinds import work_of
from surefoot.study.work.rows import make_rows_of, summary_of

NUMERICS: Mapping[str, Any] = {"product": "default", "threads": 1, "dtype": "float32", "torch": "2", "vectors": "AVX2"}
KINDS = ("rows", "train", "features", "repair", "choose", "predict")
Read = Callable[[str], Study]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return load_study(path)

    return read


def addresses(graph: Graph) -> dict[str, str]:
    return {cell.title: cell.address for cell in graph.cells()}


def changed_kinds(before: Graph, after: Graph) -> set[str]:
    old = addresses(before)
    return {cell.kind for cell in after.cells() if old.get(cell.title) != cell.address}


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("sizes: {fit: 200", "seed: 1, sizes: {fit: 200", set(KINDS)),
        ("channels: [4]", "channels: [5]", set(KINDS) - {"rows"}),
        ("epochs: 1", "epochs: 2", set(KINDS) - {"rows"}),
        ("seeds: [0, 1]", "seeds: [0, 2]", set(KINDS) - {"rows"}),
        ("gammas: [4, 8]", "gammas: [4, 9]", {"repair", "choose", "predict"}),
        ("steps: 20", "steps: 21", {"repair", "choose", "predict"}),
        (
            "strengths: [0.3, 0.03], retrains: 2}\n  afr",
            "strengths: [0.3], retrains: 2}\n  afr",
            {"repair", "choose", "predict"},
        ),
        # Nothing of this is computed in a cell.
        ("question: Does it read the digit?", "question: Or not?", set()),
        ("at_least: 0.99", "at_least: 0.98", set()),
        ("{epochs: 1, rate: 0.003}", "{label: Stopped, rate: 3e-3, epochs: 1}  # a remark", set()),
        ("study: tiny", "# a remark\nstudy: other", set()),
    ],
)
def test_addresses_change_with_what_changes_numbers_and_with_nothing_else(
    before: str, after: str, kinds: set[str], tiny_text: str, read: Read, tmp_path: Path
) -> None:
    assert before in tiny_text
    one = graph_of(read(tiny_text), tmp_path, NUMERICS)
    other = graph_of(read(tiny_text.replace(before, after, 1)), tmp_path, NUMERICS)
    assert changed_kinds(one, other) == kinds


def test_unchanged_seeds_keep_their_cells(tiny_text: str, read: Read, tmp_path: Path) -> None:
    one = graph_of(read(tiny_text), tmp_path, NUMERICS)
    other = graph_of(read(tiny_text.replace("seeds: [0, 1]", "seeds: [1, 2]")), tmp_path, NUMERICS)
    assert other.train["stopped", 1].address == one.train["stopped", 1].address
    assert other.predict["stopped", 1].address == one.predict["stopped", 1].address


@pytest.mark.parametrize("name", list(NUMERICS))
def test_every_numeric_choice_is_part_of_every_address(name: str, tiny: Study, tmp_path: Path) -> None:
    one = graph_of(tiny, tmp_path, NUMERICS)
    other = graph_of(tiny, tmp_path, {**NUMERICS, name: "another"})
    assert changed_kinds(one, other) == set(KINDS)


def test_the_content_of_data_is_part_of_the_address_and_its_place_is_not(
    tiny_text: str, read: Read, tmp_path: Path
) -> None:
    def written(folder: str, value: str) -> Graph:
        place = tmp_path / folder
        place.mkdir()
        (place / "rows.csv").write_text(f"id,x,y\n1,{value},0\n", encoding="utf-8")
        text = tiny_text.replace(
            "dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}",
            f"table: {{path: {folder}/rows.csv}}\n  roles: {{fit: 0.5, repair: 0.2, choose: 0.2, judge: 0.1}}",
        )
        return graph_of(read(text), tmp_path, NUMERICS)

    one = written("one", "0.5")
    assert addresses(written("moved", "0.5")) == addresses(one)
    assert changed_kinds(one, written("changed", "0.6")) == set(KINDS)


def test_a_users_code_is_part_of_the_address(tiny_text: str, read: Read, tmp_path: Path) -> None:
    text = tiny_text.replace("cnn: {channels: [4], hidden: 8}", "file: net.py:Net")
    (tmp_path / "net.py").write_text("Net = 1\n", encoding="utf-8")
    one = graph_of(read(text), tmp_path, NUMERICS)
    (tmp_path / "net.py").write_text("Net = 2\n", encoding="utf-8")
    two = graph_of(read(text), tmp_path, NUMERICS)
    assert changed_kinds(one, two) == set(KINDS) - {"rows"}
    (tmp_path / "layers.py").write_text("it may import this\n", encoding="utf-8")
    assert changed_kinds(two, graph_of(read(text), tmp_path, NUMERICS)) == set(KINDS) - {"rows"}
    (tmp_path / "net.py").unlink()
    with pytest.raises(InputError, match=r"^The study names net\.py, which is not in .*; paths are relative to the"):
        graph_of(read(text), tmp_path, NUMERICS)


def test_a_finished_model_is_one_cell_and_its_repairs_one_a_seed(tiny_text: str, read: Read, tmp_path: Path) -> None:
    """Repairs draw at random, so each seed is a cell of its own even where the model is the same."""
    (tmp_path / "model").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "net.py").write_text("Net = 1\n", encoding="utf-8")
    (tmp_path / "model" / "record.json").write_text(
        json.dumps({"spec": {"file": f"{tmp_path / 'code' / 'net.py'}:Net"}}), encoding="utf-8"
    )
    text = tiny_text.replace("network:\n  cnn: {channels: [4], hidden: 8}\n", "")
    study = read(text.replace("stopped: {epochs: 1, rate: 0.003}", "mine: {model: model}"))
    one = graph_of(study, tmp_path, NUMERICS)
    assert len({cell.address for cell in one.train.values()}) == 1
    assert len({cell.address for cell in one.repair.values()}) == len(one.repair) == 6
    (tmp_path / "code" / "net.py").write_text("Net = 2\n", encoding="utf-8")
    assert changed_kinds(one, graph_of(study, tmp_path, NUMERICS)) == set(KINDS) - {"rows"}
    with pytest.raises(InputError) as refused:
        plan_study(study, tmp_path, out=tmp_path / "runs", product="default")
    assert str(refused.value) == (
        f"The model of mine ({tmp_path / 'code' / 'net.py'}) is code from a file, which runs only with --trust-code "
        "(in Python: trust_code=True)."
    )


def test_a_table_of_pictures_must_name_their_folder(tiny_text: str, read: Read, tmp_path: Path) -> None:
    """Else a changed picture would leave every address as it was."""
    lines = ["id,filename,split,y,a"]
    for row in range(8):
        Image.new("L", (4, 4), row * 30).save(tmp_path / f"{row}.png")
        lines.append(f"{row},{row}.png,{row % 3},{row % 2},0")
    (tmp_path / "meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = {"table": {"path": "meta.csv", "attributes": ["a"]}}
    with pytest.raises(InputError) as refused:
        make_rows_of(spec, {"data": tmp_path / "meta.csv"})
    assert str(refused.value) == (
        "meta.csv names image files; name their folder too (images: .), so that a changed picture is noticed."
    )
    roles = make_rows_of(spec, {"data": tmp_path / "meta.csv", "images": tmp_path}).roles
    assert sum(len(rows) for rows in roles.values()) == 8


def test_the_judge_sets_identity_ignores_order_and_view() -> None:
    judge = dominoes(sizes={"judge": 40})["judge"]
    turned = judge.take(torch.arange(39, -1, -1))
    assert (
        summary_of({"judge": turned})["roles"]["judge"]["identity"]
        == (summary_of({"judge": judge.with_inputs(torch.zeros(40, 2))})["roles"]["judge"]["identity"])
    )
    fewer = summary_of({"judge": judge.take(torch.arange(39))})
    assert fewer["roles"]["judge"]["identity"] != summary_of({"judge": judge})["roles"]["judge"]["identity"]


def test_no_training_weights_where_judge_lacks_a_group() -> None:
    """A weighted mean over groups that cannot be measured is left out, not guessed, and not a crash at the end."""
    roles = {"fit": {"rows": 4, "groups": {"a": 3, "b": 1}, "partitioned": True}, "judge": {"groups": {"a": 2, "b": 1}}}
    assert training_proportions({"roles": roles}) == {"a": 0.75, "b": 0.25}
    assert training_proportions({"roles": {**roles, "judge": {"groups": {"a": 2, "b": 0}}}}) is None


def test_only_predictions_can_reach_the_judge_rows(tiny: Study, tmp_path: Path) -> None:
    graph = graph_of(tiny, tmp_path, NUMERICS)
    predictions = {cell.address for cell in graph.predict.values()}
    for cell in graph.cells():
        judged = [reference for reference in cell.inputs.values() if reference.endswith("/judge")]
        whole = [reference for reference in cell.inputs.values() if reference == graph.rows.address]
        assert not whole, f"{cell.title} is given all roles"
        assert bool(judged) == (cell.kind == "predict"), cell.title
        assert not needs(cell) & predictions, f"{cell.title} hears of judge rows through a prediction"


def test_a_repair_is_given_no_more_roles_than_its_method_needs(tiny: Study, tmp_path: Path) -> None:
    graph = graph_of(tiny, tmp_path, NUMERICS)
    assert set(graph.repair["stopped", "dfr", 0].inputs) == {"head", "repair", "choose"}
    assert set(graph.repair["stopped", "dfr_choose", 0].inputs) == {"head", "choose"}
    assert set(graph.repair["stopped", "afr", 0].inputs) == {"head", "repair", "choose"}
    assert {role for _, _, role in graph.features} == {"repair", "choose"}


def test_a_prediction_refuses_judge_rows_that_a_repair_has_seen(tmp_path: Path) -> None:
    judge = dominoes(sizes={"judge": 8})["judge"]
    save_rows(judge, "judge", tmp_path / "judge")
    write_json(tmp_path / "train" / "seen.json", [])
    write_json(tmp_path / "head" / "seen.json", [judge.sources[0, 0]])
    cell = Cell("predict", "", {"mitigations": ["afr"], "device": "cpu"})
    inputs = {"judge": tmp_path / "judge", "train": tmp_path / "train", "head afr": tmp_path / "head"}
    with pytest.raises(
        InputError, match=r"^1 sources of the judge rows .* were already seen by the base training and afr"
    ):
        work_of(cell)(cell.spec, inputs, tmp_path / "out", lambda stage, done, total: None)


def test_a_head_that_learned_on_choose_rows_is_scored_by_its_held_out_trial(tmp_path: Path) -> None:
    """On the rows it learned from it would score 1; the trial that held rows out scored .25."""
    import torch

    rows = dominoes(sizes={"choose": 8}, correlation=0.5)["choose"]
    perfect = rows.with_inputs(torch.nn.functional.one_hot(rows.targets).float())
    save_rows(perfect, "choose", tmp_path / "rows")
    right, constant = torch.eye(2), torch.zeros(2, 2)
    for name, weight in {"base": constant, "val": right, "tr": right}.items():
        write_tensors(tmp_path / name / "head.safetensors", {"weight": weight, "bias": torch.zeros(2)})
        write_json(tmp_path / name / "repaired.json", {"held_out": 0.25})
    inputs = {"rows b 0": "rows", "head b 0": "base", "head b+val 0": "val", "head b+tr 0": "tr"}
    places = {name: tmp_path / folder for name, folder in inputs.items()}
    spec = {"subjects": ["b", "b+val"], "bases": ["b"], "mitigations": [["val", True]], "seeds": [0]}

    def chosen(spec: Mapping[str, Any]) -> Any:
        out = tmp_path / "out"
        work_of(Cell("choose", "", spec))(spec, places, out, lambda stage, done, total: None)
        return json.loads((out / "choice.json").read_text())

    scored = chosen(spec)
    assert scored["scores"] == {"b": 0.0, "b+val": 0.25}
    both = chosen({**spec, "subjects": ["b", "b+val", "b+tr"], "mitigations": [["val", True], ["tr", False]]})
    assert both["chosen"] == "b+tr"
    tied = chosen({**spec, "subjects": ["b", "b+tr", "b+val"], "mitigations": [["tr", False], ["val", False]]})
    assert tied["scores"]["b+tr"] == tied["scores"]["b+val"] == 1.0
    assert tied["chosen"] == "b+tr", "the earlier of two equals"


def test_a_cell_survives_json_and_keeps_its_address(tiny: Study, tmp_path: Path) -> None:
    for cell in graph_of(tiny, tmp_path, NUMERICS).cells():
        again = cell_from_json(json.loads(json.dumps(cell_to_json(cell))))
        assert again.address == cell.address
        assert replace(cell, title="other words", places={"x": "/elsewhere"}).address == cell.address


def test_cells_come_once_and_after_those_they_need() -> None:
    first = Cell("rows", "first", {})
    second = Cell("train", "second", {}, {"fit": f"{first.address}/fit"})
    assert in_order([first, second, replace(second, title="the same work")]) == (first, second)
    with pytest.raises(ValueError, match="second comes before the cell"):
        in_order([second, first])
