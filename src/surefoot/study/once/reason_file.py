"""What a training by reinforcement is asked, by name: from the command line, or from a file of the same keys.

task: parity-16
spelled: 0.1
steps: 60
seeds: [0, 1, 2]
claims: ["accuracy >= 0.99"]
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from surefoot.errors import InputError
from surefoot.reason.advantages import Estimator
from surefoot.reason.course import Course
from surefoot.reason.imitate import Imitation
from surefoot.reason.policy_loss import Normalisation, Ratio
from surefoot.reason.reinforce import Reinforcement
from surefoot.study.once.reason_arms import ReasonPlan
from surefoot.study.part import Count, Level, NotNegative, Part, Positive, Seed, Share
from surefoot.study.schema import load_shaped
from surefoot.text.policy import Sampling
from surefoot.text.tasks.named import task_named

__all__ = ["ReasonStudy", "read_reason_study"]


class ReasonStudy(Part):
    """The keys of such a file, and what each is without one."""

    task: str = Field(description="parity-16, chain-8, addition-3, expression-3 or countdown-3, of any size")
    width: Count = 64
    depth: Count = 2
    heads: Count = 4
    spelled: Share = Field(0.1, description="share of demonstrations that spell out a thought")
    imitate: Count = Field(1_000, description="steps of imitation")
    imitate_rate: Positive = 1e-3
    batch: Count = Field(128, description="demonstrations a step")
    steps: Count = Field(60, description="steps of reinforcement")
    prompts: Count = Field(64, description="problems a step")
    samples: Count = Field(8, description="completions a problem")
    rate: Positive = 3e-4
    schedule: Literal["constant", "cosine"] = Field("cosine", description="of that rate; cosine: it falls to 0")
    temperature: Positive = 1.0
    estimator: Estimator = "grpo"
    loss: Normalisation = Field("dapo", description="what the loss is divided by")
    beta: NotNegative = Field(0.0, description="keeps it near what was imitated (k3)")
    cut_off: Literal["left_out", "counted"] = Field("counted", description="completions without an end")
    controls: bool = Field(True, description="train and measure controls as well")
    judged: Count = Field(400, description="judge problems")
    chosen: Count = Field(200, description="choose problems, behind the curves")
    attempts: Count = Field(16, description="completions of each judge problem")
    every: Count = Field(5, description="steps between places of the curves")
    seeds: list[Seed] = Field([0, 1, 2], min_length=1)
    claims: list[str] = Field([], description="of the reinforced model, unless they name another arm")
    confidence: Level = 0.95

    def plan(self) -> ReasonPlan:
        """What is to be done; raises `InputError` for tasks and numbers that there are not."""
        return ReasonPlan(
            task_named(self.task),
            spelled=self.spelled,
            size=(self.width, self.depth, self.heads),
            imitation=Imitation(Course(self.imitate, rate=self.imitate_rate, schedule="cosine"), batch=self.batch),
            reinforcement=Reinforcement(
                course=Course(self.steps, rate=self.rate, schedule=self.schedule),
                sampling=Sampling(self.samples, temperature=self.temperature),
                estimator=self.estimator,
                normalisation=self.loss,
                ratio=Ratio(beta=self.beta),
                cut_off=self.cut_off,
            ),
            prompts=self.prompts,
            controls=self.controls,
            judged=self.judged,
            chosen=self.chosen,
            attempts=self.attempts,
            every=self.every,
        )


def read_reason_study(path: Path) -> ReasonStudy:
    """The study in a YAML file; raises `InputError` with one sentence for every problem."""
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path} is no YAML file; give a task by name, or a file that ends in .yaml.")
    return load_shaped(path, ReasonStudy, "task, spelled, steps, seeds and claims")
