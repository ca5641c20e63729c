"""The repairs that a study file can name, and what each may be told. Defaults stand here and nowhere else."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from surefoot.rows.roles import Role
from surefoot.study.part import Count, Name, NotNegative, Open, Part, Positive, Share

__all__ = [
    "AFR",
    "JTT",
    "SELF",
    "GroupDRO",
    "Mitigation",
    "Retrained",
    "Reweighted",
    "SoftmaxHead",
    "fits_with_groups",
    "learns_from",
    "methods",
    "words_of",
]

STRENGTHS = [1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01]
GAMMAS = [4 + 0.5 * number for number in range(33)]
PENALTIES = [0.0, 0.1, 0.2, 0.3]
RIDGES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001]
Learn: TypeAlias = Literal["repair", "choose", "fit"]
Selection: TypeAlias = Annotated[
    Literal["groups", "classes", "pseudo_groups", "mistakes", "accuracy"],
    Field(
        description="over which groups of the choose rows the worst is taken; all but groups need no group labels",
    ),
]
Ridges: TypeAlias = Annotated[
    list[Positive], Field(min_length=1, description="L2 penalties of a mean loss, tried on choose rows")
]


class Repair(Part):
    """What all repairs may be told."""

    label: str | None = Field(None, description="what readers of the card see")
    bases: list[Name] | None = Field(None, min_length=1, description="the bases it is applied to; all if absent")


class Retrained(Repair):
    """A last layer from scratch, sparse unless `l1_ratio` is 0, on draws balanced over classes or (dfr) groups."""

    method: Literal["class_balanced", "dfr"]
    learn: Learn = Field("repair", description="choose is DFR-Val, the others DFR-Tr")
    strengths: list[Positive] = Field(STRENGTHS, min_length=1, description="the C values tried on choose rows")
    class_weights: list[Positive] = Field(default=[1.0], min_length=1, description="weights tried on each class")
    retrains: Count | None = Field(None, description="heads averaged; 20 for learn: choose, else 10")
    tune_repeats: Count = Field(1, description="draws behind each tuning score")
    scaler: Literal["pool", "published", "simplified"] = "pool"
    constant: Literal["sum", "mean"] = "sum"
    ties: Literal["strongest", "weakest"] = "strongest"
    multiclass: Literal["one_versus_rest", "multinomial"] = Field(
        "one_versus_rest", description="how three and more classes are fitted"
    )
    intercept: Literal["penalised", "free"] = "penalised"
    l1_ratio: Share = Field(1.0, description="1 is L1, 0 is L2, between is the elastic net")
    drop_groups: list[str] = Field(default=[], description="groups whose rows are left out everywhere")


class AFR(Repair):
    """Automatic feature reweighting: rows the base model gets wrong count more; groups only choose settings."""

    method: Literal["afr"]
    gammas: list[NotNegative] = Field(default=GAMMAS, min_length=1, description="how much more wrong rows count")
    penalties: list[NotNegative] = Field(PENALTIES, min_length=1, description="pull to the base head")
    steps: int = Field(500, ge=0)
    rate: Positive = 0.01
    clip: Positive = Field(1.0, description="bound on the gradient's norm")
    class_balance: bool = True
    selection: Selection = "groups"


class Reweighted(Repair):
    """A last layer from scratch on balanced rows: by weights (RWG, RWY), or on a balanced subset (SUBG, SUBY)."""

    method: Literal["rwg", "rwy", "subg", "suby"]
    learn: Learn = "repair"
    penalties: Ridges = RIDGES
    draws: Count = Field(1, description="subsets whose heads are averaged; only for subg and suby")
    selection: Selection = "groups"


class GroupDRO(Repair):
    """A last layer from scratch whose worst group loses least."""

    method: Literal["group_dro"]
    learn: Learn = "repair"
    penalties: Ridges = RIDGES
    adjustments: list[NotNegative] = Field(
        default=[0.0], min_length=1, description="C of C/√n_g: how much more small groups are asked for"
    )
    tolerance: Positive = Field(1e-4, description="the largest distance from the optimum, in nats")
    selection: Selection = "groups"


class JTT(Repair):
    """A last layer from scratch on which the base model's mistakes count more."""

    method: Literal["jtt"]
    learn: Learn = Field("fit", description="where mistakes are looked for")
    upweights: list[Positive] = Field(
        default=[5.0, 20.0, 50.0, 100.0], min_length=1, description="how much more a mistake counts"
    )
    penalties: Ridges = RIDGES
    selection: Selection = "groups"


class SELF(Repair):
    """The base head moved on the rows where it disagrees most with an earlier version of itself, or under dropout."""

    method: Literal["self"]
    learn: Learn = "repair"
    against: Name | None = Field(None, description="the base training that is the earlier version; dropout if absent")
    counts: list[Count] = Field(default=[20, 100, 500], min_length=1, description="rows learned from")
    penalties: Ridges = RIDGES
    dropout: Open = 0.5
    masks: Count = 10
    selection: Selection = "groups"

    @model_validator(mode="after")
    def _one_version(self) -> "SELF":
        if self.against is not None and (self.dropout != 0.5 or self.masks != 10):
            raise ValueError("dropout and masks were given beside against; remove one side")
        return self


class SoftmaxHead(Repair):
    """A softmax last layer with weight decay, without groups in training: DFR's ImageNet variants."""

    method: Literal["softmax_head"]
    learn: Learn = "repair"
    decays: list[NotNegative] = Field(default=[100.0, 10.0, 1.0], min_length=1, description="weight decay × rows")
    decay_bias: bool = Field(False, description="true as published")
    solver: Literal["descent", "converged", "minibatch"] = "descent"
    rate: Positive = 1.0
    steps: Count = 1000
    batch: Count = 10_000
    epochs: Count = 100
    schedule: Literal["cosine", "published"] = "cosine"
    start: Literal["zero", "published"] = "zero"
    selection: Literal["auto", "groups", "classes", "accuracy"] = Field(
        "auto", description="auto: the groups of the choose rows, else the classes"
    )


Mitigation: TypeAlias = Annotated[
    Retrained | AFR | Reweighted | GroupDRO | JTT | SELF | SoftmaxHead, Field(discriminator="method")
]


def methods() -> tuple[str, ...]:
    """The names a mitigation's `method` may have."""
    kinds = (Retrained, AFR, Reweighted, GroupDRO, JTT, SELF, SoftmaxHead)
    return tuple(name for kind in kinds for name in get_args(kind.model_fields["method"].annotation))


def learns_from(mitigation: Mitigation) -> tuple[Role, ...]:
    """The roles whose features a mitigation needs: where it learns, where it tunes, where its scaler comes from."""
    match mitigation:
        case AFR():
            return ("repair", "choose")
        case Retrained():
            scaling: tuple[Role, ...] = ("fit",) if mitigation.scaler == "published" else ()
            return tuple(dict.fromkeys((mitigation.learn, "choose", *scaling)))
        case _:
            return tuple(dict.fromkeys((mitigation.learn, "choose")))


def fits_with_groups(mitigation: Mitigation) -> bool:
    """Whether the rows it learns on must have groups; choosing among settings is another matter."""
    return mitigation.method in ("dfr", "rwg", "subg", "group_dro")


def words_of(mitigation: Mitigation) -> str:
    """A repair in words, where the study gives it no label."""
    match mitigation:
        case AFR():
            return "AFR"
        case Retrained():
            name = "DFR" if mitigation.method == "dfr" else "class-balanced head"
        case GroupDRO():
            name = "group DRO of the head"
        case SoftmaxHead():
            name = "softmax head"
        case _:
            name = mitigation.method.upper()
    return f"{name} ({mitigation.learn} rows)"
