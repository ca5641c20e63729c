"""What `surefoot flex` was asked, as the parts that its road takes."""

from pathlib import Path
from typing import TYPE_CHECKING

from surefoot.cli.options import comma_separated
from surefoot.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from surefoot.inference.settings import Ascend
    from surefoot.networks.patches import Size
    from surefoot.networks.weights import OpenedModel
    from surefoot.study.once.flex_train import Regimen, Tutor
    from surefoot.study.seen import Seen

__all__ = ["opened_transformer", "pool_of", "regimen_of", "size_of", "tutor_of", "whole_numbers"]


def opened_transformer(model: str) -> "tuple[OpenedModel, Seen | None]":
    """The model to begin with, and what it is known to have seen."""
    from surefoot.hub.opening import is_pretrained
    from surefoot.networks.weights import open_model
    from surefoot.study.seen import seen_of_model

    if is_pretrained(model):
        from surefoot.hub.vit_folder import open_vit_folder

        return open_vit_folder(Path(model)), None
    return open_model(model), seen_of_model(model)


def tutor_of(named: str | None, model: "OpenedModel | None", seen: "Seen | None", temperature: float) -> "Tutor | None":
    """The teacher that was named, at the patch size that it has, if any. seen: by the model, if that is to teach."""
    from surefoot.flex.distil import Lesson, Teacher
    from surefoot.flex.tune import itself
    from surefoot.networks.flexible import FlexibleViT
    from surefoot.study.once.flex_train import Tutor

    lesson = Lesson(temperature)
    if named is None:
        return None
    if named == "itself":
        if model is None or model.record is None or not isinstance(model.network.module, FlexibleViT):
            raise InputError("A new transformer cannot teach itself; name a model with --model, or another teacher.")
        module = model.network.module
        teacher = itself(model.network, model.parameters, module.patch, classes=model.record.classes, seen=frozenset())
        return Tutor(teacher, "the model itself", seen, None, lesson)
    opened, known = opened_transformer(named)
    record = opened.record
    classes, reads = (None, None) if record is None else (record.classes, record.input_shape)
    names = frozenset[str]() if known is None else known.names
    teacher = Teacher(opened.network, opened.parameters, classes=classes, seen=names)
    return Tutor(teacher, f"the teacher {named}", known, reads, lesson)


def regimen_of(
    name: str, settings: "Ascend", device: str, tutor: "Tutor | None"
) -> "Callable[[Sequence[Size]], Regimen]":
    """How it is trained, once its sizes are known."""
    from surefoot.flex.schedule import schedule_named
    from surefoot.study.once.flex_train import Regimen

    def of(sizes: "Sequence[Size]") -> Regimen:
        return Regimen(schedule_named(name, sizes), settings, device, tutor)

    return of


def pool_of(said: str) -> 'Literal["mean", "token"]':
    """What the head of a new transformer reads."""
    if said == "mean" or said == "token":
        return said
    raise InputError(f"--pool is {said!r}; give mean or token.")


def size_of(said: str) -> tuple[int, int, int]:
    """Width, blocks and heads."""
    from surefoot.networks.flexible import SIZES

    if said in SIZES:
        return SIZES[said]
    try:
        width, depth, heads = (int(each) for each in said.split(","))
    except ValueError:
        raise InputError(
            f"--size is {said!r}; give width, blocks and heads, such as 64,4,2, or one of {', '.join(SIZES)}."
        ) from None
    return width, depth, heads


def whole_numbers(option: str, said: str) -> list[int]:
    """Numbers with commas between."""
    if not comma_separated([said]):
        raise InputError(f"{option} names nothing; give whole numbers with commas between, such as 8,12,16.")
    try:
        return [int(each) for each in comma_separated([said])]
    except ValueError:
        raise InputError(f"{option} is {said!r}; give whole numbers with commas between, such as 8,12,16.") from None
