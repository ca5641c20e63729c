# pyright: basic, reportMissingImports=false
"""Every suite of ours as a task of Inspect.

    inspect eval surefoot/refusal --model openai/gpt-4o
    inspect eval surefoot/jailbreak -T size=full --model surefoot/smollm2
    inspect eval surefoot/xstest -T path=xstest_prompts.csv --model …

size: "quick" or "full", as of `surefoot safety`. path: your own file of a published set.
"""

from typing import Any

from inspect_ai import Task, task

__all__ = ["NAMES"]

NAMES = (
    "refusal", "jailbreak", "hallucination", "hierarchy", "regurgitation", "choices", "fairness", "discrimination",
    "summary", "deception", "adherence", "codeword", "tools", "flags", "protocol", "oversight", "xstest",
    "strongreject", "simpleqa", "bbq", "wildchat", "mmlu",
)  # fmt: skip


@task
def refusal(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite refusal`."""
    return _offline("refusal", size, seed)


@task
def jailbreak(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite jailbreak`."""
    return _offline("jailbreak", size, seed)


@task
def hallucination(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite hallucination`."""
    return _offline("hallucination", size, seed)


@task
def hierarchy(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite hierarchy`."""
    return _offline("hierarchy", size, seed)


@task
def regurgitation(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite regurgitation`."""
    return _offline("regurgitation", size, seed)


@task
def choices(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite choices`."""
    return _offline("choices", size, seed)


@task
def fairness(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite fairness`."""
    return _offline("fairness", size, seed)


@task
def discrimination(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite discrimination`."""
    return _offline("discrimination", size, seed)


@task
def summary(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite summary`."""
    return _offline("summary", size, seed)


@task
def deception(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite deception`."""
    return _offline("deception", size, seed)


@task
def adherence(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite adherence`."""
    return _offline("adherence", size, seed)


@task
def codeword(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite codeword`."""
    return _offline("codeword", size, seed)


@task
def tools(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite tools`."""
    return _offline("tools", size, seed)


@task
def flags(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite flags`."""
    return _offline("flags", size, seed)


@task
def protocol(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite protocol`."""
    return _offline("protocol", size, seed)


@task
def oversight(size: str = "quick", seed: int = 0) -> Task:
    """See `surefoot safety --suite oversight`."""
    return _offline("oversight", size, seed)


@task
def xstest(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data xstest=FILE`."""
    return _published("xstest", path, seed)


@task
def strongreject(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data strongreject=FILE`."""
    return _published("strongreject", path, seed)


@task
def simpleqa(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data simpleqa=FILE`."""
    return _published("simpleqa", path, seed)


@task
def bbq(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data bbq=FILE`."""
    return _published("bbq", path, seed)


@task
def wildchat(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data wildchat=FILE`."""
    return _published("wildchat", path, seed)


@task
def mmlu(path: str = "", seed: int = 0) -> Task:
    """See `surefoot safety --data mmlu=FILE`."""
    return _published("mmlu", path, seed)


def _offline(name: str, size: str, seed: int) -> Any:
    from surefoot.inspect.extension.grading import suite_task
    from surefoot.inspect.suites import named_suite

    return suite_task(named_suite(name, size, seed), {"size": size, "seed": seed})


def _published(name: str, path: str, seed: int) -> Any:
    from surefoot.inspect.extension.grading import suite_task
    from surefoot.inspect.suites import published_suite

    return suite_task(published_suite(name, path, seed), {"set": name, "seed": seed})
