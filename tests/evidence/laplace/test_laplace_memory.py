"""Memory and time are told before anything large is made, and told right."""

import json
import subprocess
import sys
import time

import pytest
import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.laplace import memory
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.memory import laplace_memory, laplace_table, require_room
from surefoot.networks.build import build_mlp, build_resnet
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows


def test_a_diagonal_never_asks_for_a_matrix() -> None:
    network = build_mlp(784, (2000, 2000), 10, seed=0)
    rows = make_rows(torch.zeros(60_000, 1).expand(60_000, 784), torch.zeros(60_000, dtype=torch.int64))
    posterior = Posterior(network, categorical, Gaussian(1.0))
    needs = {(need.part, need.structure): need for need in laplace_table(posterior, rows)}
    size = needs["all", "diag"].parameters
    assert size == 5_592_010
    assert needs["all", "diag"].bytes < 100 * size
    assert needs["all", "kron"].bytes < 150 * size
    assert needs["all", "full"].bytes > 16 * size**2
    assert needs["all", "full"].seconds > 1000 * needs["all", "kron"].seconds


def test_what_does_not_fit_is_refused_with_the_next_cheaper_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_mlp(64, (1000,), 1000, seed=0)
    rows = make_rows(torch.zeros(10, 64), torch.zeros(10, dtype=torch.int64))
    posterior, mode = Posterior(network, categorical, Gaussian(1.0)), parameters_of(network)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**31)
    with pytest.raises(
        InputError, match=r"1,066,000 parameters needs 16\.\d TiB.*2\.0 GiB are.*\"kron\", part=\"all\""
    ):
        expand(posterior, rows, mode)
    with pytest.raises(InputError, match=r"1,001,000 parameters needs 1\d\.\d TiB.*structure=\"kron\", part=\"head\""):
        expand(posterior, rows, mode, part="head")
    needs = laplace_table(posterior, rows)
    wanted = laplace_memory(posterior, rows, "kron")
    cheaper = next(need for need in needs if need.structure == "diag" and need.part == "all")
    assert cheaper.bytes < wanted.bytes
    with pytest.raises(InputError, match=r'take structure="diag", part="all"'):
        require_room(posterior, rows, "ggn", wanted, available=wanted.bytes - 1)
    with pytest.raises(InputError, match="take a smaller network"):
        require_room(posterior, rows, "ggn", wanted, available=1000)


def test_a_structure_that_cannot_be_had_says_why() -> None:
    network = build_resnet((1, 6, 6), 2, 1, 2, seed=0)
    rows = make_rows(torch.zeros(3, 1, 6, 6), torch.tensor([0, 1, 0]))
    needs = laplace_table(Posterior(network, categorical, Gaussian(1.0)), rows)
    assert [(need.part, need.structure) for need in needs if need.refused is not None] == [("all", "kron")]
    assert "FilterResponseNorm" in needs[1].told()


MEASURE = """
import ctypes, json, sys
from pathlib import Path
import torch
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.memory import laplace_memory
from surefoot.networks.build import build_cnn, build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows

def status(key):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
structure, part, kind, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
generator = torch.Generator().manual_seed(0)
def world(count):
    if kind == "cnn":
        network = build_cnn((3, 16, 16), (16, 32), 64, 10, seed=0)
        inputs = torch.randn(count, 3, 16, 16, generator=generator)
    else:
        widths = json.loads(kind)
        network = build_mlp(widths[0], widths[1:-1], widths[-1], seed=0)
        inputs = torch.randn(count, widths[0], generator=generator)
    classes = network.module.head.out_features
    labels = [str(label) for label in range(classes)]
    rows = make_rows(inputs, torch.arange(count) % classes, classes=labels)
    return Posterior(network, categorical, Gaussian(1.0)), rows
posterior, rows = world(count)
if structure != "full":
    few = world(2)
    evidence_of(expand(*few, parameters_of(few[0].network), structure=structure, part=part))  # libraries are loaded
torch.linalg.eigvalsh(torch.eye(200, dtype=torch.float64))
need, mode = laplace_memory(posterior, rows, structure, part), parameters_of(posterior.network)
ctypes.CDLL("libc.so.6").malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
evidence_of(expand(posterior, rows, mode, structure=structure, part=part))
print(json.dumps([need.bytes, status("VmHWM") - before]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("structure", "part", "kind", "count"),
    [
        ("full", "all", "[64, 40, 10]", 1000),
        ("full", "head", "[64, 300, 10]", 1000),
        ("kron", "all", "[64, 1000, 1000, 10]", 1000),
        ("kron", "head", "[1280, 1280, 1000]", 1000),
        ("kron", "all", "cnn", 500),
        ("diag", "all", "[64, 1000, 1000, 10]", 1000),
        ("diag", "all", "cnn", 500),
    ],
)
def test_bytes_are_within_a_factor_of_two_of_the_highest_measured(
    structure: str, part: str, kind: str, count: int
) -> None:
    asked = [sys.executable, "-c", MEASURE, structure, part, kind, str(count)]
    told, measured = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert 0.5 < told / measured < 2


@pytest.mark.slow
def test_seconds_tell_a_second_from_a_minute() -> None:
    network = build_mlp(64, (256, 256), 10, seed=0)
    rows = make_rows(torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)), torch.arange(2000) % 10)
    posterior = Posterior(network, categorical, Gaussian(1.0))
    told = laplace_memory(posterior, rows, "kron").seconds
    began = time.perf_counter()
    expand(posterior, rows, parameters_of(network), structure="kron")
    assert 0.1 < told / (time.perf_counter() - began) < 10
