"""What a study file says of a student: whose labels it is taught, by which loss, and what cannot be."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field, model_validator

from surefoot.study.architecture import exactly_one
from surefoot.study.part import Name, Part

if TYPE_CHECKING:
    from surefoot.study.shape import Base

__all__ = ["FINDINGS_OF_STUDENTS", "Loss", "Taught", "check_students", "supervisor_of"]

Loss: TypeAlias = Literal["cross_entropy", "confidence", "confidence_repository", "reverse", "adaptive"]
"""The losses on weak labels, as `surefoot teach` names them."""
FINDINGS_OF_STUDENTS = (
    "gap_recovered", "supervisor_agreement", "agreement_with_right_labels", "agreement_with_wrong_labels",
    "right_in_disagreement", "overconfidence_in_disagreement",
)  # fmt: skip
"""What is measured of a student alone."""


class Taught(Part):
    """Whose labels a base is trained on, in place of true ones: those of a base above it, or of a table."""

    by: Name | None = Field(
        None, description="a base above this one: it learns the truth of half of the fit rows and labels the others"
    )
    labels: str | None = Field(None, description="a table: id, and p_<class> for each class, or label")
    probabilities: list[str] = Field(default=[], description="columns of the table, where names do not say it")
    prediction: str | None = Field(None, description="its column of predicted classes, where its name does not say it")
    seen: str | None = Field(None, description="ids of the rows that who labelled was trained on")
    loss: Loss = "cross_entropy"

    @model_validator(mode="after")
    def _one_supervisor(self) -> "Taught":
        exactly_one(self, ("by", "labels"))
        if self.by is not None and (self.probabilities or self.prediction or self.seen):
            raise ValueError("probabilities, prediction and seen are of a table; give its labels, or leave them out")
        return self


def supervisor_of(taught: Taught) -> str:
    """The subject that a student is held against: a base, or a table by the path that the study gives it."""
    return str(taught.by or taught.labels)


def check_students(bases: Mapping[str, "Base"]) -> None:
    """Raise `ValueError` where a base cannot be taught, or not by the one that is named."""
    tables: dict[str, Taught] = {}
    earlier: list[str] = []
    for name, base in bases.items():
        taught = base.taught
        if taught is not None:
            _check_plain(name, base)
            if taught.by is not None:
                _check_base(name, taught.by, bases, earlier)
            elif supervisor_of(taught) in bases:
                raise ValueError(f"base {name!r} is taught by a table that is called as a base is; rename the base")
            else:
                table = tables.setdefault(supervisor_of(taught), taught)
                if table.model_copy(update={"loss": taught.loss}) != taught:
                    raise ValueError(
                        f"base {name!r} reads {taught.labels!r} in another way than a base above it; say its columns "
                        "and seen alike"
                    )
        earlier.append(name)


def _check_plain(name: str, base: "Base") -> None:
    """Weak labels have no classes and no mistakes that anything could be balanced by."""
    keys = ("balance", "robust", "upweight", "remove_minority")
    used = [key for key in keys if getattr(base, key) not in ("none", None, 0)]
    if used:
        raise ValueError(
            f"base {name!r} is taught weak labels and has {used[0]}, which reads true labels; leave one of them out"
        )


def _check_base(name: str, by: str, bases: Mapping[str, "Base"], earlier: list[str]) -> None:
    if by == name:
        raise ValueError(f"base {name!r} is taught by itself; name another base, or a table of labels")
    if by not in bases:
        near = get_close_matches(by, bases, n=1)
        others = f"the bases are {', '.join(bases)}; of a table say labels: {by}"
        advice = f"did you mean {near[0]!r}?" if near else others
        raise ValueError(f"base {name!r} is taught by {by!r}, which is no base; {advice}")
    passed: str | None = by
    while passed is not None and passed != name and passed not in earlier:
        own = bases[passed].taught if passed in bases else None
        passed = None if own is None else own.by
    if passed == name:
        raise ValueError(f"base {name!r} is taught by {by!r}, which it teaches itself; let one learn the truth")
    if by not in earlier:
        above = ", ".join(earlier) or "there is none"
        raise ValueError(f"base {name!r} is taught by {by!r}; expected a base above it in the file ({above})")
    if bases[by].candidate is not None or bases[by].upweight is not None:
        why = "was chosen by" if bases[by].candidate is not None else "learns from another base's mistakes on"
        raise ValueError(
            f"base {name!r} is taught by {by!r}, which {why} all fit rows, so that none is left that it could label; "
            "name a base that is trained here, or a finished model"
        )
