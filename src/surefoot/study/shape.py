"""A study file's shape: what a person writes, checked strictly.

Nothing is guessed: unknown keys, wrong types and impossible combinations are refused (`study/schema.py` turns
them into sentences). Defaults stand here and nowhere else.

Subjects, the models a card speaks of, are named "<base>" and "<base>+<mitigation>".
"""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from surefoot.errors import InputError
from surefoot.flex.cost import COSTS
from surefoot.rows.roles import ROLES, Role
from surefoot.study.architecture import CNN, MLP, Linear, NetworkSpec, ResNet, ViT, exactly_one
from surefoot.study.budget import parse_budget
from surefoot.study.choice.candidates import Candidates
from surefoot.study.mitigations import Mitigation, Patch
from surefoot.study.part import Count, Level, Name, NotNegative, Open, Part, Positive, Seed, Share
from surefoot.study.taught.shape import FINDINGS_OF_STUDENTS, Taught, check_students, supervisor_of

__all__ = [
    "CNN",
    "FINDINGS",
    "MLP",
    "Base",
    "ClaimSpec",
    "ColouredDigits",
    "Compute",
    "Data",
    "Dominoes",
    "Linear",
    "NetworkSpec",
    "ResNet",
    "RowsSpec",
    "Study",
    "Upweight",
    "ViT",
]

FINDINGS = (
    "accuracy", "worst_group_accuracy", "weighted_accuracy", "nll", "brier", "calibration_error",
    "calibration_error_equal_mass", "accuracy_seed_sd", "worst_group_accuracy_seed_sd",
)  # fmt: skip
"""What a card measures of every model, so that a claim about anything else is refused before the work and not after."""


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
    columns: list[str] | None = Field(None, description="the features, numbers or words; all unused columns if absent")
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
        exactly_one(self, ("dominoes", "coloured_digits", "table", "features", "images"))
        if self.roles is not None and abs(sum(self.roles.values()) - 1) > 1e-6:
            raise ValueError(f"roles sum to {sum(self.roles.values()):g}; expected shares that sum to 1")
        if self.dominoes is not None and self.roles is not None:
            raise ValueError("roles were given beside dominoes; give dominoes their sizes instead")
        if self.repair_share is not None and (self.roles is not None or self.dominoes or self.coloured_digits):
            raise ValueError("repair_share is for rows with a split column; remove it or give a split")
        return self


class Upweight(Part):
    """The second stage of JTT: fit rows that a first training gets wrong are drawn more often."""

    mistakes_of: Name = Field(description="the base training whose mistakes count, above this one in the file")
    by: Positive = Field(20.0, description="how much more")


class Base(Part):
    """One training of the whole network on the fit rows, or a model that is trained already."""

    label: str | None = Field(None, description="what readers of the card see")
    model: str | None = Field(None, description="a folder that surefoot saved a model in; nothing is trained then")
    candidate: Literal["chosen"] | None = Field(None, description="take what `candidates` leads to, one a seed")
    taught: Taught | None = Field(None, description="train on somebody's labels in place of the true ones")
    network: NetworkSpec | None = Field(None, description="its own, in place of the study's")
    epochs: Count = 8
    batch: Count = 64
    optimiser: Literal["adamw", "sgd", "lbfgs"] = "adamw"
    rate: Positive = Field(0.003, description="learning rate (the peak, where the schedule has one)")
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    momentum: Share | None = Field(None, description="held fixed; 0.9, cycled under one_cycle, if absent")
    weight_decay: NotNegative = 0.0
    patches: list[Count] | None = Field(
        None, min_length=1, description="patch sizes of a vit, one of which is drawn for each step; its own if absent"
    )
    draw_patches: Literal["uniform", "by_tokens", "curriculum"] = Field(
        "uniform", description="how often: alike, as few tokens as they have, or coarse ones first"
    )
    shift: int = Field(0, ge=0, description="pixels by which training images are shifted at random")
    balance: Literal["none", "classes", "groups"] = Field("none", description="what is made to weigh the same")
    how: Literal["sampling", "weights", "subset"] = Field(
        "sampling", description="drawn equally often (as published), weighted in the loss, or cut to the smallest"
    )
    robust: Literal["group_dro"] | None = Field(None, description="train for the worst group, not the mean")
    step: Positive = Field(0.01, description="group DRO: how fast its group weights move")
    adjustment: NotNegative = Field(0.0, description="group DRO: C of C/√n_g, how much more small groups are asked for")
    upweight: Upweight | None = None
    remove_minority: int = Field(0, ge=0, description="the smallest groups of fit rows this many are trained without")

    @model_validator(mode="after")
    def _trained_or_not(self) -> "Base":
        unused = sorted(self.model_fields_set - {"model", "candidate", "label"})
        if self.candidate is not None and (unused or self.model is not None):
            also = " and ".join([*(["model"] if self.model is not None else []), *unused])
            raise ValueError(f"candidate and {also} given; a candidate is trained as candidates says: remove one side")
        if self.model is not None and unused:
            raise ValueError(
                f"model and {' and '.join(unused)} given; a finished model is not trained: remove one side"
            )
        # Values, not `model_fields_set`: the canonical form of a study names every key.
        if self.balance == "none" and self.how != "sampling":
            raise ValueError("how was given without balance; say what to balance: classes or groups")
        if self.robust is None and (self.step != 0.01 or self.adjustment != 0.0):
            raise ValueError("step and adjustment are group DRO's, and robust is not given; add robust: group_dro")
        if self.upweight is not None and (self.balance != "none" or self.robust):
            raise ValueError("upweight was given beside balance or robust; each sets how rows count: remove one side")
        if self.patches is None and self.draw_patches != "uniform":
            raise ValueError("draw_patches was given without patches; say which to draw")
        if self.patches is not None and len(set(self.patches)) != len(self.patches):
            raise ValueError(f"patches name a size twice ({self.patches}); give each once")
        if self.patches is not None and (self.taught is not None or self.optimiser == "lbfgs"):
            raise ValueError("patches are drawn step by step; leave them out of students and of lbfgs")
        if self.robust and self.balance != "none" and self.how == "weights":
            raise ValueError("group DRO reads no weights of whole groups; balance by how: sampling or subset")
        drawn = self.upweight is not None or (self.balance != "none" and self.how == "sampling")
        if self.optimiser == "lbfgs" and (self.robust or drawn):
            raise ValueError("lbfgs sees all rows at once: it draws none and moves no group weights; use another")
        return self

    def balances_groups(self) -> bool:
        """Whether its training needs groups on the fit rows."""
        return self.balance == "groups" or self.robust is not None


class Compute(Part):
    """What a pass of each model costs on this machine: measured when all else is done."""

    rows: Count = Field(1, description="inputs a pass")
    rounds: int = Field(31, ge=6, description="passes that are timed, of each model")
    threads: Count = 1


class ClaimSpec(Part):
    """A bound on one finding: exactly one of at_least and at_most."""

    finding: str
    of: str = Field("chosen", description="a subject, or `chosen`: whichever was selected on the choose rows")
    slice: str = Field("all", description="all, or a group's name")
    at_least: float | None = None
    at_most: float | None = None
    confidence: Level | None = Field(None, description="the study's, unless given here")
    within: str | None = Field(None, description="of the best model whose passes take this at most: 20ms, 0.5s")

    @model_validator(mode="after")
    def _one_bound(self) -> "ClaimSpec":
        exactly_one(self, ("at_least", "at_most"))
        known = (*FINDINGS, *FINDINGS_OF_STUDENTS, *COSTS)
        if self.within is not None and self.of != "chosen":
            raise ValueError(f"of is {self.of!r} beside within; a budget chooses the model itself: remove one side")
        self.seconds()
        if self.finding not in known:
            near = get_close_matches(self.finding, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"the findings are {', '.join(known)}."
            raise ValueError(f"finding is {self.finding!r}; {advice}")
        return self

    def seconds(self) -> float | None:
        """The budget; raises `ValueError` for what is no time."""
        try:
            return None if self.within is None else parse_budget(self.within)
        except InputError as error:
            raise ValueError(str(error).rstrip(".")) from None


class Study(Part):
    """One study: rows, network, base trainings, mitigations, seeds, claims."""

    study: Name
    question: str = ""
    rows: RowsSpec
    network: NetworkSpec | None = None
    candidates: Candidates | None = Field(None, description="networks and priors, of which one becomes the base")
    base: dict[Name, Base] = Field(min_length=1)
    mitigations: dict[Name, Mitigation] = Field(default={})
    seeds: list[Seed] = Field(default=[0], min_length=1)
    confidence: Level = 0.95
    compute: Compute | None = Field(None, description="measure what a pass of each model costs on this machine")
    claims: list[ClaimSpec] = Field(default=[])
    limits: list[str] = Field(default=[], description="sentences the card says under what it does not show")

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds repeat in {self.seeds}; give each seed once")
        trained = [name for name, base in self.base.items() if base.model is None and base.candidate is None]
        taking = [name for name, base in self.base.items() if base.candidate is not None]
        if taking and self.candidates is None:
            raise ValueError(
                f"the base {taking[0]!r} takes the chosen candidate, and there are no candidates; add them"
            )
        if self.candidates is not None and not taking:
            raise ValueError("candidates were given and no base takes one; add one such as best: {candidate: chosen}")
        without = [name for name in trained if self.base[name].network is None]
        if without and self.network is None:
            raise ValueError(f"the base training {without[0]!r} has no network to train; add one")
        if self.network is not None and not trained:
            raise ValueError("a network was given, but every base is a finished model or a candidate; remove it")
        if self.network is not None and not without:
            raise ValueError("a network was given, but every base has its own; remove one side")
        if "chosen" in self.base:
            raise ValueError("a base training is named 'chosen', which claims use for the selected model; rename it")
        self._named_bases()
        check_students(self.base)
        self._patched_bases()
        repairs = [(name, name.partition("+")[0]) for name in self.subjects() if "+" in name]
        students = {name: supervisor_of(base.taught) for name, base in self.base.items() if base.taught is not None}
        pairs = [*repairs, *students.items()]
        known = ("chosen", *self.subjects(), *(f"{after} − {before}" for after, before in pairs))
        for claim in self.claims:
            if claim.of not in known:
                near = get_close_matches(claim.of, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"the subjects are {', '.join(known)}."
                raise ValueError(f"a claim is made of {claim.of!r}; {advice}")
            if self.compute is None and (claim.finding in COSTS or claim.within is not None):
                asked = claim.finding if claim.within is None else f"{claim.finding} within {claim.within}"
                raise ValueError(f"a claim is made on {asked} and costs are not measured; add compute: {{}}")
            if claim.finding in COSTS and (claim.slice != "all" or " − " in claim.of):
                raise ValueError(
                    f"a claim is made on {claim.finding} of {claim.of!r} on {claim.slice!r}; a cost is of one model "
                    "and of no group: claim it of that"
                )
            if claim.finding in FINDINGS_OF_STUDENTS and (claim.of not in students or claim.slice != "all"):
                named = ", ".join(students) or "none here: add one with taught"
                raise ValueError(
                    f"a claim on {claim.finding} is made of {claim.of!r} on {claim.slice!r}; it is measured of "
                    f"students ({named}) on all rows"
                )
        return self

    def subjects(self) -> tuple[str, ...]:
        """Every model of the study in the file's order: each base, then its repairs."""
        return tuple(
            name for base in self.base for name in (base, *(f"{base}+{repair}" for repair in self.repairs_of(base)))
        )

    def repairs_of(self, base: str) -> tuple[str, ...]:
        """The mitigations that are applied to a base."""
        return tuple(name for name, each in self.mitigations.items() if each.bases is None or base in each.bases)

    def teaches(self, base: str) -> bool:
        """Whether a base labels rows for another; one that is trained on the truth gets half of them."""
        return any(each.taught is not None and each.taught.by == base for each in self.base.values())

    def network_of(self, base: str) -> NetworkSpec | None:
        """The network that a base trains."""
        return self.base[base].network or self.network

    def _patched_bases(self) -> None:
        """Raise `ValueError` for patch sizes of a base that is no vision transformer."""
        for name, base in self.base.items():
            network, trained = self.network_of(name), base.model is None and base.candidate is None
            is_vit = network is not None and network.vit is not None
            if base.patches is not None and not is_vit:
                raise ValueError(f"base {name!r} has patches and its network is no vit; give network: {{vit: {{}}}}")
            own = None if network is None or network.vit is None else network.vit.patch
            if base.patches is not None and own not in base.patches:
                raise ValueError(
                    f"base {name!r} runs at patch {own} and is trained at {base.patches}; let patch be one of patches"
                )
            sized = [each for each in self.repairs_of(name) if isinstance(self.mitigations[each], Patch)]
            if sized and trained and not is_vit:
                raise ValueError(
                    f"mitigation {sized[0]!r} changes the patch size of {name!r}, whose network is no vit; give it "
                    "bases: with those that are"
                )

    def _named_bases(self) -> None:
        """Raise `ValueError` for a base that is named and is not there, or not yet."""
        earlier: list[str] = []
        for name, base in self.base.items():
            if base.upweight is not None and base.upweight.mistakes_of not in earlier:
                raise ValueError(
                    f"base {name!r} upweights the mistakes of {base.upweight.mistakes_of!r}; expected a base above it "
                    f"in the file ({', '.join(earlier) or 'there is none'})"
                )
            earlier.append(name)
        for name, mitigation in self.mitigations.items():
            rival = mitigation.rival()
            for base in (*(mitigation.bases or ()), *([] if rival is None else [rival])):
                if base not in self.base:
                    near = get_close_matches(base, self.base, n=1)
                    advice = f"did you mean {near[0]!r}?" if near else f"the bases are {', '.join(self.base)}"
                    raise ValueError(f"mitigation {name!r} names the base {base!r}, which is not there; {advice}")

    def canonical(self) -> dict[str, Any]:
        """The study as plain JSON with every default written out: comments and layout leave no trace."""
        return self.model_dump(mode="json")
