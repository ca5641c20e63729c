"""What of a model's body may change when it is taught: all of it, low-rank differences, or nothing.

    full        every weight of the body
    low rank    W + (α / r) B A         A, B of rank r beside each of the body's linear layers, B beginning at zero
    head only   no weight of the body: a linear probe

Beside it, how many layers the body keeps: the first N of a trained model are a family of sizes, each of which knows
what the next one's first layers know.

Sources: Hu et al. (2022), "LoRA", eq. 3, run by peft; Burns et al. (2023), "Weak-to-strong generalization", appendix A
(fine-tuning), and their repository (`linear_probe`).
"""

import copy
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.hub.pretrained import quiet_transformers

__all__ = ["Adaptation", "Full", "HeadOnly", "LowRank", "adapted", "first_layers", "merged"]


@dataclass(frozen=True)
class Full:
    """Every weight of the body learns."""


@dataclass(frozen=True)
class LowRank:
    """rank: r; alpha: α; on: endings of the names of linear layers ("query", "c_attn"), all of them where empty.

    Raises `InputError` for a rank below 1 and an α that is not positive.
    """

    rank: int = 8
    alpha: float = 8.0
    on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0:
            raise InputError(
                f"The rank is {self.rank} and alpha {self.alpha}; give a rank of 1 or more and a positive alpha."
            )


@dataclass(frozen=True)
class HeadOnly:
    """The body stays as it is."""


Adaptation: TypeAlias = Full | LowRank | HeadOnly


def first_layers(module: nn.Module, count: int | None = None) -> nn.Module:
    """A copy of the body with its first `count` layers alone (None: all), and without a pooler, which nothing reads.

    Raises `InputError` for a count that the body does not have.
    """
    body: Any = getattr(module, "base_model", module)
    own: Any = copy.deepcopy(body)
    if getattr(own, "pooler", None) is not None:
        own.pooler = None
    if count is None:
        return own
    total = int(own.config.num_hidden_layers)
    if not 1 <= count <= total:
        raise InputError(f"The model has {total} layers and {count} were asked for; give a number from 1 to {total}.")
    for part in own.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == total:
                setattr(part, name, child[:count])
                own.config.num_hidden_layers = count
                kinds = getattr(own.config, "layer_types", None)
                if kinds is not None:
                    own.config.layer_types = list(kinds)[:count]
                return own
    raise InputError(f"{type(own).__name__} has no list of its {total} layers, so its first ones cannot be taken.")


def adapted(body: nn.Module, how: Adaptation, seed: int) -> nn.Module:
    """The body ready to be taught; only what may change has `requires_grad`.

    Low-rank matrices begin as peft draws them, from `seed`. Raises `InputError` where peft is not installed or finds no
    layer of a name.
    """
    for parameter in body.parameters():
        parameter.requires_grad_(isinstance(how, Full))
    if not isinstance(how, LowRank):
        return body
    with quiet_transformers(), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError:
            raise InputError(
                'Low-rank adapters need peft, which is not installed: pip install "surefoot[tuning]"'
            ) from None
        torch.manual_seed(seed)
        wanted: Any = list(how.on) or "all-linear"
        config = LoraConfig(
            r=how.rank, lora_alpha=cast("Any", how.alpha), target_modules=wanted, lora_dropout=0.0, bias="none"
        )
        try:
            return get_peft_model(cast("Any", body), config)
        except ValueError as error:
            raise InputError(
                f"No layer of the model is called {', '.join(how.on) or 'linear'} ({str(error).splitlines()[0]}); "
                "name endings of its linear layers."
            ) from error


def merged(body: nn.Module) -> nn.Module:
    """A copy of the body as a plain model, with low-rank differences added to the weights they stand beside."""
    own: Any = copy.deepcopy(body)
    return own.merge_and_unload() if hasattr(own, "merge_and_unload") else own
