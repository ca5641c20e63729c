"""Language models that are taught to say: losses against plain sums, resumed runs, and what stays as it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chat_examples import chat_model

from surefoot.errors import InputError
from surefoot.hub.chat import chat_policy
from surefoot.hub.tuning.adapt import Adaptation, Full, HeadOnly, LowRank
from surefoot.hub.tuning.say import Saying, teach_to_say
from surefoot.hub.tuning.settings import Tune
from surefoot.text.policy import Message, Sampling

SAYINGS = (
    Saying("a", "<think>b b</think> yes"),
    Saying("b", "<think>c</think> no"),
    Saying((Message("system", "Be brief."), Message("user", "c d")), "yes"),
    Saying("d a b", "no no no"),
)
SETTINGS = Tune(epochs=3, batch=3, rate=1e-2, schedule="constant")


def _weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in module.state_dict().items()}


def test_the_loss_is_that_of_the_policy_itself() -> None:
    """One batch of all rows: the first loss is what the untaught policy says of them, a token."""
    policy = chat_policy(chat_model())
    told = policy.log_probability([each.prompt for each in SAYINGS], [each.completion for each in SAYINGS])
    tokens = sum(policy.row(each.prompt, each.completion).new for each in SAYINGS)
    taught = teach_to_say(policy, SAYINGS, Full(), replace(SETTINGS, epochs=1, batch=4), 0)
    assert taught.losses == pytest.approx([-float(told.sum()) / tokens], abs=1e-9)


@pytest.mark.parametrize("how", [Full(), LowRank(rank=4, alpha=8.0)], ids=["full", "low rank"])
def test_it_learns_to_say_it_and_the_model_that_was_given_stays(how: Adaptation) -> None:
    policy = chat_policy(chat_model())
    before = _weights(policy.model.module)
    taught = teach_to_say(policy, SAYINGS, how, replace(SETTINGS, epochs=150, rate=3e-2), 0)
    assert taught.losses[-1] < 0.3 < taught.losses[0]
    assert all(torch.equal(value, before[name]) for name, value in policy.model.module.state_dict().items())
    said = taught.policy.sample([each.prompt for each in SAYINGS], Sampling(1, 16, 0.0), 0)
    assert [each[0].answer for each in said] == ["yes", "no", "yes", "no no no"]
    assert [each[0].thought for each in said] == ["b b", "c", None, None]
    assert set(taught.policy.model.module.state_dict()) == set(before)  # a plain model again


def test_microbatches_change_rounding_alone() -> None:
    policy = chat_policy(chat_model())
    whole = teach_to_say(policy, SAYINGS, Full(), SETTINGS, 0)
    parts = teach_to_say(policy, SAYINGS, Full(), replace(SETTINGS, microbatch=1), 0)
    assert whole.losses == pytest.approx(parts.losses, abs=1e-9)


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = chat_policy(chat_model())
    straight = teach_to_say(policy, SAYINGS, LowRank(), SETTINGS, 0)
    monkeypatch.setattr("surefoot.hub.tuning.say.EVERY", 2)

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Killed

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        teach_to_say(policy, SAYINGS, LowRank(), SETTINGS, 0, checkpoint=path, progress=kill)
    steps: list[int] = []
    again = teach_to_say(
        policy, SAYINGS, LowRank(), SETTINGS, 0, checkpoint=path, progress=lambda _, done, __: steps.append(done)
    )
    assert steps == [3, 4, 5, 6]
    assert again.losses == straight.losses
    for name, value in straight.policy.model.module.state_dict().items():
        assert torch.equal(value, again.policy.model.module.state_dict()[name])
    with pytest.raises(InputError, match="belongs to a run with"):
        teach_to_say(policy, SAYINGS, LowRank(), SETTINGS, 1, checkpoint=path)


@pytest.mark.parametrize("how", [Full(), LowRank()], ids=["full", "low rank"])
def test_a_checkpoint_is_that_of_one_model(how: Adaptation, tmp_path: Path) -> None:
    """Another model's training is refused, and so is a second round on what was taught in the first."""
    path = tmp_path / "checkpoint.safetensors"
    taught = teach_to_say(chat_policy(chat_model()), SAYINGS, how, SETTINGS, 0, checkpoint=path)
    again = teach_to_say(chat_policy(chat_model()), SAYINGS, how, SETTINGS, 0, checkpoint=path)
    assert again.losses == taught.losses
    for other in (chat_policy(chat_model(seed=1)), taught.policy):
        with pytest.raises(InputError, match="belongs to a run with"):
            teach_to_say(other, SAYINGS, how, SETTINGS, 0, checkpoint=path)


def test_dropout_follows_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was drawn before, in a run that was killed too; other seeds, steps and parts draw others."""
    model = chat_model()
    for part in model.module.modules():
        if hasattr(part, "attention_dropout"):
            part.attention_dropout = 0.5
    policy, settings = chat_policy(model), replace(SETTINGS, dropout=True, batch=4, microbatch=2)
    first = teach_to_say(policy, SAYINGS, Full(), settings, 0)
    torch.rand(7)
    assert teach_to_say(policy, SAYINGS, Full(), settings, 0).losses == first.losses
    assert teach_to_say(policy, SAYINGS, Full(), settings, 1).losses != first.losses
    assert teach_to_say(policy, SAYINGS, Full(), replace(settings, dropout=False), 0).losses != first.losses
    monkeypatch.setattr("surefoot.hub.tuning.say.EVERY", 1)

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Killed

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        teach_to_say(policy, SAYINGS, Full(), settings, 0, checkpoint=path, progress=kill)
    assert teach_to_say(policy, SAYINGS, Full(), settings, 0, checkpoint=path).losses == first.losses
    # A rate of almost nothing and one row four times: the parts and steps differ by what is dropped alone.
    same = [SAYINGS[3]] * 4
    still = replace(settings, rate=1e-12, microbatch=1, epochs=4)
    steps = teach_to_say(policy, same, Full(), still, 0).losses
    alone = teach_to_say(policy, same[:1], Full(), replace(still, batch=1), 0).losses
    assert len({round(each, 6) for each in steps}) == 4
    assert abs(steps[0] - alone[0]) > 1e-6


def test_impossible_lessons_are_refused() -> None:
    policy = chat_policy(chat_model(context=12))
    with pytest.raises(InputError, match="There is nothing to teach"):
        teach_to_say(policy, [], Full(), SETTINGS, 0)
    with pytest.raises(InputError, match="1 of 2 demonstrations are longer than the 12 tokens"):
        teach_to_say(policy, [Saying("a", "yes"), Saying("a", "no " * 12)], Full(), SETTINGS, 0)
    with pytest.raises(InputError, match="saying has none"):
        teach_to_say(policy, [Saying("a", "yes")], HeadOnly(), SETTINGS, 0)
