"""Candidates: networks, priors and learning rates among which a choice is to be made, as a grid or by name.

candidates:
  widths: [16, 64]            # every combination of these …
  depths: [0, 1, 2]           # 0 is logistic regression
  precisions: [0.1, 1, 10]
  named:                      # … and these
    pictures: {network: {cnn: {channels: [8, 16], hidden: 32}}, precision: 3}
    own: {network: {file: net.py:Net}, precision: 3}       # runs only with --trust-code
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from surefoot.errors import InputError
from surefoot.study.architecture import NetworkSpec
from surefoot.study.part import Count, Name, Open, Part, Positive

__all__ = ["CRITERIA", "MOST", "Candidate", "Candidates", "Criterion", "NamedCandidate", "refuse_own_code"]

Criterion: TypeAlias = Literal["conditional_evidence", "evidence", "validation_loss_averaged", "validation_loss"]
CRITERIA: tuple[Criterion, ...] = (
    "conditional_evidence", "evidence", "validation_loss_averaged", "validation_loss",
)  # fmt: skip
"""By what a choice can be made, in the order in which it is told."""
MOST = 500
"""Candidates that one choice may be made among: with more, it overfits any criterion, and nobody reads the table."""


@dataclass(frozen=True)
class Candidate:
    """One candidate. network: as a study names it, without the sizes that rows decide.

    rate: peak learning rate of AdamW; None climbs by L-BFGS, which needs none.
    """

    name: str
    network: Mapping[str, Any]
    precision: float
    rate: float | None = None

    @property
    def words(self) -> str:
        """What a reader sees.

        >>> Candidate("a", {"mlp": {"hidden": [64, 64]}}, 1.0, 0.01).words
        'MLP 64, 64; precision 1; rate 0.01'
        """
        told = f"{_network_words(self.network)}; precision {self.precision:g}"
        return told if self.rate is None else f"{told}; rate {self.rate:g}"


class NamedCandidate(Part):
    """One candidate outside the grid."""

    network: NetworkSpec
    precision: Positive = Field(1.0, description="one over the prior's variance, of every weight and bias")
    rate: Positive | None = Field(None, description="peak learning rate of AdamW; L-BFGS if absent")


class Candidates(Part):
    """Networks, priors and learning rates to choose among; each is trained on the fit rows once per seed."""

    widths: list[Count] = Field(default=[], description="units of every hidden layer")
    depths: list[Annotated[int, Field(ge=0)]] = Field(
        default=[1], description="hidden layers; 0 is logistic regression"
    )
    precisions: list[Positive] = Field(default=[1.0], min_length=1, description="one over the prior's variance")
    rates: list[Positive] = Field(default=[], description="peak learning rates of AdamW; L-BFGS if absent")
    named: dict[Name, NamedCandidate] = Field(default={}, description="candidates beside the grid")
    choose_by: Criterion = Field("validation_loss", description="the criterion whose first is taken")
    epochs: Count = Field(300, description="AdamW: passes over the rows in every training")
    batch: Count = Field(64, description="AdamW: rows a step")
    rounds: Count = Field(20, description="L-BFGS: of at most 20 iterations each, over all rows at once")
    structure: Literal["full", "kron", "diag"] = Field("kron", description="of the curvature behind the evidence")
    held_out: Open = Field(0.2, description="share of the rows that the conditional evidence and losses are of")
    draws: Annotated[int, Field(ge=2)] = Field(100, description="networks that are averaged over")

    @model_validator(mode="after")
    def _several(self) -> "Candidates":
        if not self.widths and not self.named and any(self.depths):
            raise ValueError("candidates has neither widths nor named; give the widths of a grid, or named candidates")
        try:
            every = self.all()
        except InputError as error:
            raise ValueError(str(error)) from None
        if len(every) < 2:
            raise ValueError(f"there is {len(every)} candidate, so nothing to choose; give two or more")
        if len(every) > MOST:
            raise ValueError(f"there are {len(every):,} candidates; give at most {MOST}")
        return self

    def all(self) -> tuple[Candidate, ...]:
        """Every candidate once, the simplest of a grid first: ties go to the earlier.

        >>> [each.name for each in Candidates(widths=[4, 8], depths=[0, 1], precisions=[1.0]).all()]
        ['linear-p1', '4-p1', '8-p1']
        """
        found: dict[str, Candidate] = {}
        for network, precision, rate in product(self._networks(), sorted(set(self.precisions)), self._rates()):
            end = "" if rate is None else f"-r{rate:g}"
            name = f"{_network_name(network)}-p{precision:g}{end}".replace("+", "")
            if name in found:
                raise InputError(
                    f"two candidates are called {name}; give precisions and rates that differ in six digits"
                )
            found[name] = Candidate(name, network, float(precision), rate)
        for name, each in self.named.items():
            if name in found:
                raise InputError(f"a named candidate is called {name}, as one of the grid is; rename it")
            network = each.network.model_dump(mode="json", exclude_none=True)
            found[name] = Candidate(name, network, each.precision, each.rate)
        return tuple(found.values())

    def climb_of(self, candidate: Candidate) -> dict[str, Any]:
        """How it is trained, as `Ascend` takes it: L-BFGS comes nearer to a mode, and evidences are of modes."""
        if candidate.rate is None:
            return {"optimiser": "lbfgs", "epochs": self.rounds, "batch": 1, "rate": 1.0, "schedule": "constant"}
        return {"optimiser": "adamw", "epochs": self.epochs, "batch": self.batch, "rate": candidate.rate}

    def _rates(self) -> list[float | None]:
        return [None] if not self.rates else [*sorted(set(self.rates))]

    def _networks(self) -> Iterator[Mapping[str, Any]]:
        if not self.widths and any(self.depths):  # named candidates alone
            return
        for depth in sorted(set(self.depths)):
            if depth == 0:
                yield {"linear": {}}
                continue
            for width in sorted(set(self.widths)):
                yield {"mlp": {"hidden": [width] * depth}}


def refuse_own_code(candidates: Candidates) -> None:
    """Raise `InputError` when a candidate's network is built by code from a file."""
    for name, each in candidates.named.items():
        if each.network.file is not None:
            raise InputError(
                f"The network {each.network.file} of the candidate {name} is code from a file, which runs only with "
                "--trust-code (in Python: trust_code=True)."
            )


def _network_name(network: Mapping[str, Any]) -> str:
    if "linear" in network:
        return "linear"
    hidden: list[int] = network["mlp"]["hidden"]
    return f"{hidden[0]}" if len(hidden) == 1 else f"{hidden[0]}x{len(hidden)}"


def _network_words(network: Mapping[str, Any]) -> str:
    (kind, sizes), *_ = network.items()
    if kind == "linear":
        return "logistic regression"
    if kind == "file":
        return f"own network {sizes}"
    if kind == "mlp":
        return f"MLP {', '.join(map(str, sizes['hidden']))}"
    if kind == "cnn":
        return f"CNN {', '.join(map(str, sizes['channels']))}, then {sizes['hidden']}"
    return f"ResNet of width {sizes['width']}, {sizes['blocks']} blocks a stage"
