"""A chat model that is taught to say, as roads of `study/` ask for one (`say_policy_arms.Speaker`)."""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import write_json
from surefoot.hub.chat import ChatPolicy
from surefoot.hub.pretrained import quiet_transformers
from surefoot.hub.templates import uses_marks
from surefoot.hub.tuning.adapt import Full, LowRank
from surefoot.hub.tuning.say import Saying, teach_to_say
from surefoot.hub.tuning.settings import Tune
from surefoot.progress import Progress
from surefoot.text.policy import Policy, Prompt

__all__ = ["ChatSpeaker"]

USUAL = Tune(epochs=3, batch=8, microbatch=8, rate=1e-3, warmup=4)


@dataclass(frozen=True)
class ChatSpeaker:
    """how, settings: of every teaching."""

    policy: ChatPolicy
    how: LowRank | Full = field(default_factory=lambda: LowRank(rank=16, alpha=32.0))
    settings: Tune = USUAL

    def identity_parts(self) -> tuple[Any, ...]:
        """The model alone: how it is taught is in `record`."""
        return (self.policy,)

    @property
    def thinks(self) -> bool:
        """Was it trained to think between marks?"""
        return uses_marks(self.policy.model)

    @property
    def words(self) -> str:
        """For a reader."""
        how = f"differences of rank {self.how.rank}" if isinstance(self.how, LowRank) else "all weights"
        return f"{how}, {self.settings.epochs} epochs, batches of {self.settings.batch}, rate {self.settings.rate:g}"

    @property
    def record(self) -> Mapping[str, Any]:
        """For the record of a card."""
        return {
            "model": self.policy.told,
            "how": [type(self.how).__name__, asdict(self.how)],
            "settings": asdict(self.settings),
        }

    def taught(self, sayings: Sequence[tuple[Prompt, str]], checkpoint: Path, seed: int, progress: Progress) -> Policy:
        """See `Speaker`; raises what `teach_to_say` refuses."""
        rows = [Saying(prompt, said) for prompt, said in sayings]
        return teach_to_say(
            self.policy, rows, self.how, self.settings, seed, checkpoint=checkpoint, progress=progress
        ).policy

    def leave(self, policy: Policy, folder: Path, told: Mapping[str, Any]) -> None:
        """Write a taught policy as a folder of Hugging Face, whole or not at all."""
        if not isinstance(policy, ChatPolicy):
            raise InputError(f"{policy.name} is no local chat model; give one that was taught here.")
        beside = folder.parent / f".{folder.name}.{secrets.token_hex(6)}"
        try:
            beside.mkdir(parents=True)
            with quiet_transformers():
                policy.model.module.save_pretrained(str(beside))
                policy.model.tokenizer.save_pretrained(str(beside))
            write_json(beside / "surefoot_taught.json", dict(told))
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
        except OSError as error:
            raise InputError(f"Could not write {folder} ({error.strerror}); free space or choose another.") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
