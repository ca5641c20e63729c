"""A study file's shape: what a person writes, checked strictly.

Nothing is guessed: unknown keys, wrong types and impossible combinations are refused (`study/schema.py` turns
them into sentences). Defaults stand here and nowhere else.

Subjects, the models a card speaks of, are named "<base>" and "<base>+<mitigation>".
"""

from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from surefoot.rows.roles import ROLES, Role

__all__ = [
    "AFR",
    "CNN",
    "FINDINGS",
    "MLP",
    "Base",
    "ClaimSpec",
    "ColouredDigits",
    "Data",
    "Dominoes",
    "Linear",
    "Mitigation",
    "NetworkSpec",
    "ResNet",
    "Retrained",
    "RowsSpec",
    "Study",
]

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Letters, digits, `_`, `-` and `.`: it becomes part of file names and of subjects."""
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Open: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]

STRENGTHS = [1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01]
GAMMAS = [4 + 0.5 * number for number in range(33)]
PENALTIES = [0.0, 0.1, 0.2, 0.3]
Strengths: TypeAlias = Annotated[list[Positive], Field(min_length=1, description="the C values tried on choose rows")]

FINDINGS = (
    "accuracy", "worst_group_accuracy", "weighted_accuracy", "nll", "brier", "calibration_error",
    "calibration_error_equal_mass", "accuracy_seed_sd", "worst_group_accuracy_seed_sd",
)  # fmt: skip
"""What a card measures of every model, so that a claim about anything else is refused before the work and not after."""


class Part(BaseModel):
    """Every part of a study: unknown keys are refused, types are not coerced, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Dominoes(Part):
    """Digit over digit: the top one is a shortcut to the class of the bottom one."""

    correlation: Share = Field(0.98, description="how often shortcut and class agree in fit, repair and choose rows")
    judge_correlation: Share = Field(0.5, description="the same for judge rows; 0.5 makes all groups equally large")
    seed: Seed = 0
    sizes: dict[Role, Count] = Field(
        default={"fit": 9600, "repair": 2400, "choose": 8000, "judge": 4800}, description="rows per role"
    )

    @model_validator(mode="after")
    def _all_roles(self) -> "Dominoes":
        lacking = [role for role in ROLES if role not in self.sizes]
        if lacking:
            raise ValueError(f"sizes lack {', '.join(lacking)}; give all of {', '.join(ROLES)}")
        return self


class ColouredDigits(Part):
    """Is the digit at least 5? Its colour is a shortcut."""

    correlation: Share = 0.95
    judge_correlation: Share = 0.5
    fractions: dict[Role, Open] = Field(
        default={"fit": 0.4, "repair": 0.1, "choose": 0.2, "judge": 0.3}, description="share of the 5,000 digits"
    )
    seed: Seed = 0


class Data(Part):
    """A file or folder of rows, and which of its columns or arrays mean what; usual names are found by themselves."""

    path: str
    target: str | None = Field(None, description="the class labels")
    attributes: list[str] = Field(default=[], description="crossed with the target, these make the groups")
    split: str | None = Field(None, description="which rows are for training, choice, test")
    meaning: dict[str, Role] | None = Field(None, description="what each value of the split means")
    source: str | None = Field(None, description="rows with the same value here must play the same role (a patient)")
    cluster: str | None = Field(None, description="rows with the same value here are one piece of evidence")
    id: str | None = Field(None, description="the names of rows")
    columns: list[str] | None = Field(None, description="the features; all unused numeric columns if absent")
    classes: list[str] | None = Field(None, description="the classes in order, where some may be absent")
    images: str | None = Field(None, description="the folder that image file names are relative to")
    size: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = Field(
        None, description="height and width, in pixels, that images are brought to"
    )


class RowsSpec(Part):
    """Where rows come from (exactly one of the first five keys) and how they get their roles."""

    dominoes: Dominoes | None = None
    coloured_digits: ColouredDigits | None = None
    table: Data | None = Field(None, description="a CSV or Parquet file of feature columns, or of image file names")
    features: Data | None = Field(None, description="an .npz or .safetensors file")
    images: Data | None = Field(None, description="a folder of images with its metadata.csv")
    roles: dict[Role, Open] | None = Field(None, description="share of rows per role, where no split column says")
    repair_share: Open | None = Field(None, description="share of the fit rows of a split column kept for repair")
    seed: Seed = Field(0, description="the seed by which roles are drawn")

    @model_validator(mode="after")
    def _one_kind(self) -> "RowsSpec":
        _exactly_one(self, ("dominoes", "coloured_digits", "table", "features", "images"))
        if self.roles is not None and abs(sum(self.roles.values()) - 1) > 1e-6:
            raise ValueError(f"roles sum to {sum(self.roles.values()):g}; expected shares that sum to 1")
        if self.dominoes is not None and self.roles is not None:
            raise ValueError("roles were given beside dominoes; give dominoes their sizes instead")
        if self.repair_share is not None and (self.roles is not None or self.dominoes or self.coloured_digits):
            raise ValueError("repair_share is for rows with a split column; remove it or give a split")
        return self


class CNN(Part):
    """Convolutions 3×3 with pooling, one hidden layer, a linear head."""

    channels: list[Count] = [16, 32]
    hidden: Count = 64


class MLP(Part):
    """Fully connected layers and a linear head."""

    hidden: list[Count] = [64]


class ResNet(Part):
    """A residual network with filter response normalisation."""

    width: Count = 16
    blocks: Count = 1


class Linear(Part):
    """No features of its own: the inputs go straight into the head."""


class NetworkSpec(Part):
    """Exactly one network."""

    cnn: CNN | None = None
    mlp: MLP | None = None
    resnet: ResNet | None = None
    linear: Linear | None = None
    file: str | None = Field(None, description="your own: net.py:Net (runs only with --trust-code)")
    head: str | None = Field(None, description="the dotted name of the final linear layer of your own network")

    @model_validator(mode="after")
    def _one_kind(self) -> "NetworkSpec":
        _exactly_one(self, ("cnn", "mlp", "resnet", "linear", "file"))
        if self.head is not None and self.file is None:
            raise ValueError("head was given for a built-in network; it is only for your own (file)")
        if self.file is not None and ":" not in self.file:
            raise ValueError(f"file is {self.file!r}; expected a file and a name in it, such as net.py:Net")
        return self


class Base(Part):
    """One training of the whole network on the fit rows, or a model that is trained already."""

    label: str | None = Field(None, description="what readers of the card see")
    model: str | None = Field(None, description="a folder that surefoot saved a model in; nothing is trained then")
    epochs: Count = 8
    batch: Count = 64
    optimiser: Literal["adamw", "sgd", "lbfgs"] = "adamw"
    rate: Positive = Field(0.003, description="learning rate (the peak, where the schedule has one)")
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    momentum: Share | None = Field(None, description="held fixed; 0.9, cycled under one_cycle, if absent")
    weight_decay: NotNegative = 0.0
    shift: int = Field(0, ge=0, description="pixels by which training images are shifted at random")

    @model_validator(mode="after")
    def _trained_or_not(self) -> "Base":
        unused = sorted(self.model_fields_set - {"model", "label"})
        if self.model is not None and unused:
            raise ValueError(
                f"model and {' and '.join(unused)} given; a finished model is not trained: remove one side"
            )
        return self


class Retrained(Part):
    """A sparse last layer from scratch, on draws with equally many of each class, or (dfr) of each group."""

    method: Literal["class_balanced", "dfr"]
    label: str | None = None
    learn: Literal["repair", "choose", "fit"] = Field("repair", description="choose is DFR-Val, the others DFR-Tr")
    strengths: Strengths = STRENGTHS
    class_weights: list[Positive] = Field(default=[1.0], min_length=1, description="weights tried on each class")
    retrains: Count | None = Field(None, description="heads averaged; 20 for learn: choose, else 10")
    tune_repeats: Count = Field(1, description="draws behind each tuning score")
    scaler: Literal["pool", "published", "simplified"] = "pool"
    constant: Literal["sum", "mean"] = "sum"
    ties: Literal["strongest", "weakest"] = "strongest"


class AFR(Part):
    """Automatic feature reweighting: rows the base model gets wrong count more; groups only choose settings."""

    method: Literal["afr"]
    label: str | None = None
    gammas: list[NotNegative] = Field(default=GAMMAS, min_length=1, description="how much more wrong rows count")
    penalties: list[NotNegative] = Field(
        default=[0.0, 0.1, 0.2, 0.3], min_length=1, description="pull to the base head"
    )
    steps: int = Field(500, ge=0)
    rate: Positive = 0.01
    clip: Positive = Field(1.0, description="bound on the gradient's norm")
    class_balance: bool = True


Mitigation: TypeAlias = Annotated[Retrained | AFR, Field(discriminator="method")]


class ClaimSpec(Part):
    """A bound on one finding: exactly one of at_least and at_most."""

    finding: str
    of: str = Field("chosen", description="a subject, or `chosen`: whichever was selected on the choose rows")
    slice: str = Field("all", description="all, or a group's name")
    at_least: float | None = None
    at_most: float | None = None
    confidence: Open | None = Field(None, description="the study's, unless given here")

    @model_validator(mode="after")
    def _one_bound(self) -> "ClaimSpec":
        _exactly_one(self, ("at_least", "at_most"))
        if self.finding not in FINDINGS:
            near = get_close_matches(self.finding, FINDINGS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"the findings are {', '.join(FINDINGS)}."
            raise ValueError(f"finding is {self.finding!r}; {advice}")
        return self


class Study(Part):
    """One study: rows, network, base trainings, mitigations, seeds, claims."""

    study: Name
    question: str = ""
    rows: RowsSpec
    network: NetworkSpec | None = None
    base: dict[Name, Base] = Field(min_length=1)
    mitigations: dict[Name, Mitigation] = {}
    seeds: list[Seed] = Field(default=[0], min_length=1)
    confidence: Open = 0.95
    claims: list[ClaimSpec] = []
    limits: list[str] = Field(default=[], description="sentences the card says under what it does not show")

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds repeat in {self.seeds}; give each seed once")
        trained = [name for name, base in self.base.items() if base.model is None]
        if trained and self.network is None:
            raise ValueError(f"the base training {trained[0]!r} has no network to train; add one")
        if self.network is not None and not trained:
            raise ValueError("a network was given, but every base is a finished model; remove it")
        if "chosen" in self.base:
            raise ValueError("a base training is named 'chosen', which claims use for the selected model; rename it")
        repairs = [(name, name.partition("+")[0]) for name in self.subjects() if "+" in name]
        known = ("chosen", *self.subjects(), *(f"{after} − {before}" for after, before in repairs))
        for claim in self.claims:
            if claim.of not in known:
                near = get_close_matches(claim.of, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"the subjects are {', '.join(known)}."
                raise ValueError(f"a claim is made of {claim.of!r}; {advice}")
        return self

    def subjects(self) -> tuple[str, ...]:
        """Every model of the study in the file's order: each base, then its repairs."""
        return tuple(
            name for base in self.base for name in (base, *(f"{base}+{mitigation}" for mitigation in self.mitigations))
        )

    def canonical(self) -> dict[str, Any]:
        """The study as plain JSON with every default written out: comments and layout leave no trace."""
        return self.model_dump(mode="json")


def _exactly_one(part: BaseModel, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(part, name) is not None]
    if len(given) != 1:
        expected = f"{', '.join(names[:-1])} or {names[-1]}"
        raise ValueError(f"{' and '.join(given) or 'none'} given; expected exactly one of {expected}")
