"""The work of a sample cell: a posterior of a head over features, or of a whole network, instead of one point."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from surefoot.bayes.kept import CHAINS, head_rows, keep_posterior, load_posterior
from surefoot.bayes.sample import sample_posterior
from surefoot.bayes.settings import BayesSettings
from surefoot.files import write_json
from surefoot.networks.build import build_linear
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import SavedModel, load_model
from surefoot.progress import Progress
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score_outputs
from surefoot.robust.scaler import Scaler
from surefoot.rows.rows import Rows
from surefoot.study.mitigations import bayes_of
from surefoot.study.stored import load_head, load_rows, load_seen, save_seen

__all__ = ["fresh_starts", "sample", "unfolded"]

STRIDE = 1000
"""Between the seeds of two studies' runs, so that no chain starts where another run's did."""


def sample(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves chains/, bayes.json, what the draws have seen, and repaired.json as a repair does."""
    settings, seed = bayes_of(spec), int(spec["seed"])
    rows, choose = load_rows(inputs["rows"]), load_rows(inputs["choose"])
    scaler, saved = None, None
    if settings.part == "head":
        rows, scaler = head_rows(rows)
        network = build_linear(rows.inputs[:].shape[1], len(rows.classes), seed)
        starts = _head_starts(settings, rows, load_head(inputs["train"] / "head"), scaler, seed)
    else:
        saved = load_model(inputs["train"] / "model", trust_code=True)
        network = saved.network
        starts = fresh_starts(saved, settings, seed)
    sampled = sample_posterior(network, rows, starts, settings, seed, folder=out / CHAINS, progress=progress)
    keep_posterior(out, sampled, settings, len(rows.classes), scaler)
    # A posterior over weights that started at a trained point has seen what that point has; a fresh one has not.
    before = load_seen(inputs["train"]) if settings.part == "head" or settings.start == "trained" else frozenset[str]()
    save_seen(sampled.chains.seen | before, out)
    outputs = load_posterior(out).probabilities(network, choose.inputs)
    write_json(
        out / "repaired.json",
        {
            "chosen": {},
            "held_out": score_outputs(outputs, choose).worst_group_accuracy,
            "trials": [],
            "notes": list(sampled.notes),
            "doubts": list(sampled.doubts),
        },
    )


def fresh_starts(saved: SavedModel, settings: BayesSettings, seed: int) -> list[Parameters]:
    """Where chains of a whole network begin: at new initial weights, or all at the trained ones."""
    if settings.start == "trained":
        return [saved.parameters] * settings.starts
    seeds = range(STRIDE * seed + 1, STRIDE * seed + 1 + settings.starts)
    networks = [network_from_spec(saved.record.spec, seed=each, trust_code=True) for each in seeds]
    return [parameters_of(network) for network in networks]


def _head_starts(settings: BayesSettings, rows: Rows, head: LinearHead, scaler: Scaler, seed: int) -> list[Parameters]:
    if settings.start == "trained":
        weight, bias = unfolded(head, scaler)
        return [{"head.weight": weight, "head.bias": bias}] * settings.starts
    seeds = range(STRIDE * seed + 1, STRIDE * seed + 1 + settings.starts)
    width = rows.inputs[:].shape[1]
    networks: list[Network] = [build_linear(width, len(rows.classes), each) for each in seeds]
    return [parameters_of(network) for network in networks]


def unfolded(head: LinearHead, scaler: Scaler) -> tuple[Float[Tensor, "classes features"], Float[Tensor, "classes"]]:
    """The head on standardised features equal to `head` on raw ones: W' = W σ, b' = b + W m.

    >>> scaler = Scaler(torch.tensor([3.0]), torch.tensor([2.0]), torch.tensor([False]))
    >>> weight, bias = unfolded(LinearHead(torch.tensor([[2.0], [0.0]]), torch.tensor([0.0, 1.0])), scaler)
    >>> weight.tolist(), bias.tolist()
    ([[4.0], [0.0]], [6.0, 1.0])
    """
    mean, scale = scaler.mean.to(head.weight), scaler.scale.to(head.weight)
    return head.weight * scale, head.bias + head.weight @ mean
