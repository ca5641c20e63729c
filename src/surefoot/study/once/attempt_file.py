"""What models that are there are asked, by name: from the command line, or from a file of the same keys.

questions: questions.jsonl
models: [smollm2]
attempts: 8
budgets: [0, 64]
claims: ["consensus_at_8 >= 0.3"]
"""

from pathlib import Path

from pydantic import Field

from surefoot.errors import InputError
from surefoot.study.once.attempt import Grader
from surefoot.study.once.attempt_forms import Reading
from surefoot.study.part import Count, Level, Part, Positive, Seed
from surefoot.study.schema import load_shaped
from surefoot.text.tasks.files import open_questions
from surefoot.text.tasks.named import task_named
from surefoot.text.tasks.task import Task

__all__ = ["QUESTION_FILES", "AttemptStudy", "asks_models", "read_attempt_study", "task_of_questions"]

QUESTION_FILES = (".jsonl", ".json", ".ndjson")
"""How the name of a file of questions ends."""


class AttemptStudy(Part):
    """The keys of such a file, and what each is without one."""

    questions: str = Field(description="a file of JSON lines of question and answer, or a task such as addition-2")
    models: list[str] = Field(
        min_length=1, description="smollm2, a folder of Hugging Face, a GGUF file, a decoder of surefoot, or a server's"
    )
    server: str | None = Field(None, description="the address up to and with /v1 of who serves the models")
    key_from: str | None = Field(None, description="the environment variable that holds the server's key")
    at_once: Count = Field(1, description="requests to the server at one time")
    attempts: Count = Field(8, description="drawn completions of each problem")
    temperature: Positive = Field(1.0, description="of attempts")
    most: Count | None = Field(None, description="tokens of a completion; 256, or what the task of a decoder needs")
    judged: Count | None = Field(None, description="problems; all of a file, 200 of a task")
    budgets: list[int] = Field([], description="tokens after which a thought is closed")
    grader: Grader = Field("probability", description="who says which of k is best")
    read: Reading = Field("last", description="where an answer is looked for")
    instruction: str | None = Field(None, description="what models are told of the form of the answer")
    thought_marks: str | None = Field(None, description="the opening and the closing mark, a comma between")
    seed: Seed = 0
    claims: list[str] = Field([], description="of the first model, unless they name another")
    confidence: Level = 0.95


def asks_models(path: Path) -> bool:
    """Does a study ask models that are there? It names questions, and no task."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    keys = {line.partition(":")[0].strip("\"' \ufeff") for line in lines if line[:1] not in (" ", "#", "-", "")}
    return bool(keys & {"questions", "models"}) and "task" not in keys


def read_attempt_study(path: Path) -> AttemptStudy:
    """The study in a YAML file; raises `InputError` with one sentence for every problem."""
    return load_shaped(path, AttemptStudy, "questions, models, attempts, budgets and claims")


def task_of_questions(named: str) -> Task:
    """The questions of a file, or the made-up task of this name; raises `InputError` where there is neither."""
    path = Path(named)
    if path.is_dir():
        raise InputError(f"{named} is a folder; give a file of JSON lines of question and answer, or a task by name.")
    if path.suffix.lower() in QUESTION_FILES or path.is_file():
        return open_questions(path)
    return task_named(named)
