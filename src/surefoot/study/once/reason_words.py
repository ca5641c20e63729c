"""What is said of a training by reinforcement: before it begins, of each arm, and what a card of it cannot tell."""

from surefoot.study.once.reason_arms import IMITATED, LONGER, NEVER_SHOWN, REINFORCED, SILENT, ReasonPlan
from surefoot.text.decoder import build_decoder

__all__ = ["limits_of", "note_of", "told_before"]


def told_before(plan: ReasonPlan, seeds: int) -> str:
    """What is about to be done, in one sentence."""
    numbers = sum(each.numel() for each in build_decoder(plan.shape(), 0).parameters())
    arms = len(plan.arms)
    return (
        f"{seeds} seed{'' if seeds == 1 else 's'} × {arms} trainings of a decoder of {numbers:,} numbers on "
        f"{plan.task.name}: {plan.imitation.course.steps:,} steps of imitation, "
        f"{plan.reinforcement.course.steps:,} of reinforcement."
    )


def note_of(arm: str, plan: ReasonPlan) -> str:
    """What an arm is."""
    steps, count = plan.reinforcement.course.steps, plan.reinforcement.sampling.count
    notes = {
        IMITATED: f"next tokens of demonstrations, of which {plan.spelled:.0%} spell out a thought",
        REINFORCED: (
            f"{steps:,} steps of at most {plan.prompts} problems × {count} completions, rewarded for right answers "
            "and nothing else"
        ),
        SILENT: "a control: the same reinforcement, the mark that begins a thought forbidden",
        LONGER: "a control: imitation goes on for as many operations as reinforcement took",
        NEVER_SHOWN: "a control: as many tokens of demonstrations, none with a thought",
    }
    return notes[arm]


def limits_of(plan: ReasonPlan, seeds: int) -> tuple[str, ...]:
    """What a card of it does not show."""
    limits = [
        f"{plan.task.name} is a made-up task, and the model a small one: what holds here need not hold of language.",
        "All problems are of one size; whether longer ones are solved was not asked.",
        "Bands along steps are the range of seeds; other bands, and brackets, are intervals over problems and seeds.",
    ]
    if seeds < 3:
        limits.append("Reinforcement can fail on one seed and not on another: three or more tell.")
    if not plan.controls:
        limits.append("Without controls it is open whether it was the thinking, or the time.")
    return tuple(limits)
