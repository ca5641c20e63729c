"""A study file is read strictly: every problem is one sentence that names the key, the line and the nearest name."""

import json
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.study.mitigations import NAMES
from surefoot.study.once.reason_file import read_reason_study
from surefoot.study.schema import Study, load_study, study_json_schema

GOOD = """\
study: tiny
rows:
  dominoes: {correlation: 0.95}
network:
  cnn: {channels: [4]}
base:
  stopped: {epochs: 1, rate: 3e-3}
mitigations:
  afr: {method: afr}
  dfr: {method: dfr, learn: choose}
seeds: [0, 1]
claims:
  - {finding: worst_group_accuracy, of: chosen, at_least: 0.8}
"""


def read(text: str, folder: Path) -> Study:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(path)


def refused(text: str, folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text, folder)
    return str(caught.value).splitlines()


def test_a_study_says_what_was_written_and_defaults_the_rest(tmp_path: Path) -> None:
    study = read(GOOD, tmp_path)
    assert study.subjects() == ("stopped", "stopped+afr", "stopped+dfr")
    assert study.base["stopped"].rate == 0.003
    assert study.rows.dominoes is not None
    assert study.rows.dominoes.sizes == {"fit": 9600, "repair": 2400, "choose": 8000, "judge": 4800}
    assert study.confidence == 0.95


def test_comments_layout_and_key_order_leave_no_trace(tmp_path: Path) -> None:
    rewritten = "# a remark\n" + GOOD.replace("{epochs: 1, rate: 3e-3}", "\n    rate: 0.0030  # peak\n    epochs: 1")
    assert read(rewritten, tmp_path).canonical() == read(GOOD, tmp_path).canonical()


def test_the_canonical_form_reads_back(tmp_path: Path) -> None:
    study = read(GOOD, tmp_path)
    assert Study.model_validate_json(json.dumps(study.canonical())) == study


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("mitigations:", "mitigation:", "Unknown key 'mitigation' in study.yaml, line 8; did you mean 'mitigations'?"),
        (
            "learn: choose",
            "learns: choose",
            "Unknown key 'mitigations.dfr.learns' in study.yaml, line 10; did you mean 'learn'?",
        ),
        (
            "correlation: 0.95",
            "colour: 0.95",
            "Unknown key 'rows.dominoes.colour' in study.yaml, line 3; "
            "the keys here are correlation, judge_correlation, seed, sizes.",
        ),
        (
            "epochs: 1",
            "text_model: minilm",
            "Unknown key 'base.stopped.text_model' in study.yaml, line 7; a study reads no texts: teach a text model "
            "with surefoot teach, or give the study features of them (surefoot features).",
        ),
        (
            "method: dfr",
            "method: drf",
            "'mitigations.dfr.method' in study.yaml, line 10 is 'drf'; expected one of "
            f"{', '.join(map(repr, NAMES))}; did you mean 'dfr'?",
        ),
        (
            "{method: afr}",
            "{steps: 3}",
            f"Key 'mitigations.afr.method' is missing in study.yaml, line 9; add one of {', '.join(NAMES)}.",
        ),
        ("study: tiny\n", "", "Key 'study' is missing in study.yaml; add it."),
        (
            "epochs: 1",
            "epochs: one",
            "'base.stopped.epochs' in study.yaml, line 7 is \"one\"; expected a whole number.",
        ),
        ("epochs: 1", "epochs: 1.5", "'base.stopped.epochs' in study.yaml, line 7 is 1.5; expected a whole number."),
        ("epochs: 1", "epochs: 0", "'base.stopped.epochs' in study.yaml, line 7 is 0; expected at least 1."),
        ("rate: 3e-3", "rate: -1", "'base.stopped.rate' in study.yaml, line 7 is -1; expected more than 0."),
        ("rate: 3e-3", "rate: fast", "'base.stopped.rate' in study.yaml, line 7 is \"fast\"; expected a number."),
        (
            "epochs: 1",
            "optimiser: adam",
            "'base.stopped.optimiser' in study.yaml, line 7 is \"adam\"; expected 'adamw', 'sgd' or 'lbfgs'.",
        ),
        ("seeds: [0, 1]", "seeds: [1, 1]", "In study.yaml: seeds repeat in [1, 1]; give each seed once."),
        ("seeds: [0, 1]", "seeds: []", "'seeds' in study.yaml, line 11 is []; expected at least 1 entry."),
        ("seeds: [0, 1]", "seeds: 0", "'seeds' in study.yaml, line 11 is 0; expected a list."),
        (
            "of: chosen",
            "of: stoped",
            "In study.yaml: a claim is made of 'stoped'; did you mean 'stopped'?",
        ),
        (
            "finding: worst_group_accuracy",
            "finding: worst_groups_acuracy",
            "In 'claims.0' of study.yaml, line 13: finding is 'worst_groups_acuracy'; did you mean "
            "'worst_group_accuracy'?",
        ),
        (
            ", at_least: 0.8",
            "",
            "In 'claims.0' of study.yaml, line 13: none given; expected exactly one of at_least or at_most.",
        ),
        (
            "at_least: 0.8",
            "at_least: 0.8, at_most: 0.9",
            "In 'claims.0' of study.yaml, line 13: at_least and at_most given; expected exactly one of at_least or "
            "at_most.",
        ),
        (
            "  dominoes: {correlation: 0.95}",
            "  seed: 1",
            "In 'rows' of study.yaml, line 2: none given; expected exactly one of dominoes, coloured_digits, table, "
            "features or images.",
        ),
        (
            "{correlation: 0.95}",
            "{sizes: {fit: 20, judge: 20}}",
            "In 'rows.dominoes' of study.yaml, line 3: sizes lack repair, choose; give all of fit, repair, choose, "
            "judge.",
        ),
        (
            "network:\n  cnn: {channels: [4]}\n",
            "",
            "In study.yaml: the base training 'stopped' has no network to train; add one.",
        ),
        (
            "epochs: 1,",
            "model: folder,",
            "In 'base.stopped' of study.yaml, line 7: model and rate given; a finished model is not trained: remove "
            "one side.",
        ),
        (
            "study: tiny",
            "study: a/b",
            "'study' in study.yaml, line 1 is \"a/b\"; expected letters, digits, '_', '-' and '.' only, beginning with "
            "a letter or digit.",
        ),
        (
            "study: tiny",
            "study: tiny\nseeds: [3]",
            "Key 'seeds' appears twice in study.yaml, lines 2 and 12.",
        ),
        (
            "  cnn: {channels: [4]}",
            "  file: net.py",
            "In 'network' of study.yaml, line 4: file is 'net.py'; expected a file and a name in it, such as "
            "net.py:Net.",
        ),
    ],
)
def test_each_problem_is_one_exact_sentence(before: str, after: str, sentence: str, tmp_path: Path) -> None:
    assert before in GOOD
    assert refused(GOOD.replace(before, after, 1), tmp_path) == [sentence]


def test_several_problems_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("epochs: 1", "epochs: 0").replace("mitigations:", "mitigation:")
    assert refused(text, tmp_path) == [
        "'base.stopped.epochs' in study.yaml, line 7 is 0; expected at least 1.",
        "Unknown key 'mitigation' in study.yaml, line 8; did you mean 'mitigations'?",
    ]


def test_a_file_that_is_no_study(tmp_path: Path) -> None:
    assert refused("- 1\n", tmp_path) == [
        "study.yaml holds no study; expected keys such as study, rows, network, base and seeds."
    ]
    assert refused("a: [1\n", tmp_path) == [
        "study.yaml is not readable YAML: expected ',' or ']', but got '<stream end>' (line 2)."
    ]
    with pytest.raises(InputError, match=r"^There is no study file .*none\.yaml; check the path, or write one with"):
        load_study(tmp_path / "none.yaml")


def test_nothing_in_a_study_file_is_executed(tmp_path: Path) -> None:
    (sentence,) = refused("study: !!python/object/apply:os.getcwd []\n", tmp_path)
    assert sentence.startswith("study.yaml is not readable YAML: could not determine a constructor for the tag")


def test_the_schema_for_editors_names_every_key() -> None:
    schema = study_json_schema()
    assert list(schema["properties"]) == list(Study.model_fields)
    assert schema["additionalProperties"] is False
    assert {"study", "rows", "base"} == set(schema["required"])
    (mitigation,) = schema["properties"]["mitigations"]["patternProperties"].values()
    methods = mitigation["discriminator"]["mapping"]
    assert set(methods) == set(NAMES)


def test_every_study_in_the_repository_can_be_read() -> None:
    found = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
    reasoning = [path for path in found if path.name.startswith("parity")]  # studies of `surefoot reason`
    assert len(found) > len(reasoning) > 0
    for path in found:
        if path in reasoning:
            assert read_reason_study(path).task.startswith("parity-")
        else:
            assert load_study(path).study == path.stem
    others = sorted((Path(__file__).parents[2] / "studies" / "tasks").glob("*.yaml"))
    assert others
    for path in others:
        assert read_reason_study(path).task.startswith(f"{path.stem}-")
