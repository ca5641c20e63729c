"""Sampled networks and heads as files, and what they predict.

chains/           the draws (`surefoot.inference.chains`)
bayes.json        which part was sampled, how, what was measured of the chains, and what must be doubted
scaler.safetensors  how features are standardised before they enter a sampled head
fixed.safetensors   tensors of a network that were not sampled (frozen parameters, buffers), where there are any
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.bayes.sample import Sampled
from surefoot.bayes.settings import BayesSettings, Part
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, read_json, read_tensors, write_json, write_tensors
from surefoot.findings.finding import finding_to_json
from surefoot.inference.chains.chains import RECORD as CHAINS_RECORD
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.predict.predict import predict
from surefoot.inference.predict.predictive import Predictive
from surefoot.networks.build import build_linear
from surefoot.networks.network import Network, Parameters
from surefoot.networks.weights import POSTERIOR
from surefoot.progress import Progress, silent
from surefoot.robust.scaler import Scaler
from surefoot.rows.rows import Inputs

__all__ = ["CHAINS", "KeptPosterior", "digest_posterior", "is_kept", "keep_posterior", "load_posterior"]

CHAINS = "chains"
SCALER = "scaler.safetensors"
FIXED = "fixed.safetensors"


@dataclass(frozen=True)
class KeptPosterior:
    """A sampled part of a network.

    scaler: for a head, how its features are standardised. record: the content of bayes.json. fixed: what was not
    sampled of a network, and draws lack.
    """

    part: Part
    chains: Chains
    scaler: Scaler | None
    record: dict[str, Any]
    fixed: Parameters = field(default_factory=dict[str, Tensor])

    def predict(self, network: Network, inputs: Inputs, *, progress: Progress = silent) -> Predictive:
        """What all draws say together. inputs: rows for a whole network, features for a head.

        network: the whole one that was sampled; a head brings its own, and this is then not read.
        """
        if self.scaler is None:
            return predict(network, self.chains, inputs, fixed=self.fixed, progress=progress)
        features = self.scaler.apply(inputs[:]).float()
        head = build_linear(features.shape[1], self.record["classes"], seed=0)
        return predict(head, self.chains, features, progress=progress)

    def probabilities(
        self, network: Network, inputs: Inputs, *, progress: Progress = silent
    ) -> Float[Tensor, "rows classes"]:
        """The averaged prediction in float32, each row summing to one."""
        averaged: Float64[Tensor, "rows classes"] = self.predict(network, inputs, progress=progress).log_probabilities
        return averaged.softmax(dim=1).float()


def keep_posterior(
    folder: Path, sampled: Sampled, settings: BayesSettings, classes: int, scaler: Scaler | None = None
) -> None:
    """Write everything but the chains, which were sampled into `folder`/chains; bayes.json comes last."""
    if scaler is not None:
        tensors = {"mean": scaler.mean, "scale": scaler.scale, "constant": scaler.constant}
        write_tensors(folder / SCALER, {name: tensor.clone() for name, tensor in tensors.items()})
    if sampled.fixed:
        write_tensors(folder / FIXED, {name: tensor.detach().clone() for name, tensor in sampled.fixed.items()})
    record = {
        "settings": asdict(settings),
        "classes": classes,
        "findings": [finding_to_json(finding) for finding in sampled.findings],
        "doubts": list(sampled.doubts),
        "notes": list(sampled.notes),
    }
    write_json(folder / POSTERIOR, record)


def is_kept(folder: Path) -> bool:
    """Whether a finished sampled network or head lies here."""
    return (folder / POSTERIOR).is_file()


def digest_posterior(folder: Path) -> str:
    """sha256 of what a kept posterior predicts by: the record of its chains, which names every shard, and its own."""
    files = [folder / CHAINS / CHAINS_RECORD, folder / POSTERIOR, folder / SCALER, folder / FIXED]
    return digest_json([digest_file(file) for file in files if file.is_file()])


def load_posterior(folder: Path) -> KeptPosterior:
    """The inverse of `keep_posterior`; raises `InputError` for what is unfinished or damaged."""
    if not is_kept(folder):
        raise InputError(f"{folder} holds no finished posterior ({POSTERIOR} is missing); sample into it first.")
    record = read_json(folder / POSTERIOR)
    try:
        part: Part = record["settings"]["part"]
        if part not in get_args(Part):
            raise KeyError(part)
    except (KeyError, TypeError, IndexError):
        raise InputError(f"{folder / POSTERIOR} does not say what was sampled; sample into it again.") from None
    scaler = None
    if part == "head":
        tensors = {name: tensor.clone() for name, tensor in read_tensors(folder / SCALER).items()}
        if not {"mean", "scale", "constant"} <= set(tensors):
            raise InputError(f"{folder / SCALER} lacks mean, scale or constant; sample into {folder} again.")
        scaler = Scaler(tensors["mean"], tensors["scale"], tensors["constant"])
    held = read_tensors(folder / FIXED) if (folder / FIXED).is_file() else {}
    fixed = {name: tensor.clone() for name, tensor in held.items()}
    return KeptPosterior(part, load_chains(folder / CHAINS), scaler, record, fixed)
