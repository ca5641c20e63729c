"""A policy behind any server that speaks the chat completions of OpenAI: vLLM, llama.cpp, Ollama, or a remote one.

One request is one completion, so that a server that fails midway has lost one: what came back is kept in a file of JSON
lines, by the digest of its request, and is never asked again. Prompts are not kept, and neither is the key.

A thought is what the server gives as `reasoning_content` (or `reasoning`), else what stands between <think> marks.
Tokens are as the server counts them; where it counts none, words are counted. Of a thought that is counted with its
answer, the share of its characters is taken.

What is beyond such a server: how probable a given text is, and thoughts of a given length. Its template may put a
system message of its own before yours; it does not say so.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, NoReturn, cast

from surefoot.errors import InputError
from surefoot.files import digest_json, write_text
from surefoot.progress import Progress, silent
from surefoot.text.asking import Patience, Refused, post_json
from surefoot.text.completion import Completion, part
from surefoot.text.policy import Message, Prompt, Sampling
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["Calls", "ServedPolicy"]

OPENING, CLOSING = MARKS[THINK], MARKS[ANSWER]
ENDS = ("stop", "eos", "eos_token", "stop_sequence", "end_turn")
"""Ways to say that a text came to its own end."""
BLOCKED = "content_filter"
OURS = ("model", "messages", "temperature", "seed", "max_tokens", "max_completion_tokens", "stream", "n")
PATIENT = Patience()


@dataclass
class Calls:
    """What became of the calls: answered, blocked by a filter of the server, kept from before. failed: single tries.

    One that was blocked before is kept and blocked. The rest is of all requests, kept ones included, as they were when
    they were made: tokens of prompts and completions as the server counts them, uncounted: those of which it counts
    neither, or only one; again: tries that failed before one came back.
    """

    answered: int = 0
    blocked: int = 0
    kept: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    again: int = 0


class _Used(NamedTuple):
    """What a request cost: tokens as the server counts them, None where it does not, and tries that failed."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    again: int = 0


class _Back(NamedTuple):
    """What came back of a request."""

    completion: Completion
    blocked: bool
    used: _Used = _Used()


@dataclass(frozen=True)
class ServedPolicy:
    """name: of the model at the server. url: up to and with "/v1".

    key: sent to the server and written nowhere. system: a system message before prompts that are plain texts. context:
    tokens, where it is known. finished: the file of what came back. at_once: requests that run at one time. opened: the
    model's template opens a thought, so that the text begins within it. most: what the server calls the largest number
    of tokens. extra: more of the request, such as {"reasoning_effort": "low"}.

    Two are equal, and one run's, that send the same requests: with which key, how many at once, how patiently and where
    what came back is kept makes no other policy.

    A blocked call is a completion without an answer, counted in `calls`. Raises `InputError` for extras that are said
    elsewhere.
    """

    name: str
    url: str
    key: str | None = field(default=None, compare=False, repr=False)
    system: str | None = None
    context: int = 100_000
    finished: Path | None = field(default=None, compare=False)
    at_once: int = field(default=1, compare=False)
    opened: bool = False
    most: str = "max_tokens"
    extra: Mapping[str, Any] = field(default_factory=dict)
    patience: Patience = field(default=PATIENT, compare=False)
    calls: Calls = field(default_factory=Calls, compare=False, repr=False)

    def __post_init__(self) -> None:
        taken = [each for each in self.extra if each in (*OURS, self.most)]
        if taken or self.at_once < 1:
            raise InputError(
                f"A served policy was given {taken[0] if taken else f'at_once = {self.at_once}'}; leave "
                f"{', '.join(OURS)} out of what is extra, and ask one request or more at once."
            )

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """See `Policy.sample`; the same seed gives the same ones from the file, and as far as the server heeds it.

        Raises `InputError` for a budget of thinking, for requests that the server refuses, and when it keeps failing;
        what came back until then is in the file.
        """
        if sampling.thinking is not None:
            raise InputError(
                f"A budget of {sampling.thinking} tokens of thinking was asked of {self.name}, which is served, and a "
                "server's chat cannot be held to one; leave it free, or ask a local model."
            )
        bodies = [body for row in self._bodies(prompts, sampling, seed) for body in row]
        kept = {} if self.finished is None else _read(self.finished)
        writing = Lock()
        with ThreadPoolExecutor(self.at_once) as threads:
            running = [threads.submit(self._completion, body, kept, writing) for body in bodies]
            try:
                found: list[Completion] = []
                for each in running:
                    found.append(each.result())
                    progress("asking", len(found), len(running))
            except BaseException as error:
                threads.shutdown(wait=True, cancel_futures=True)
                if isinstance(error, InputError) and self.finished is not None:
                    raise InputError(f"{error} What came back is in {self.finished}; run again to go on.") from error
                raise
        return [tuple(found[at : at + sampling.count]) for at in range(0, len(found), sampling.count)]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NoReturn:
        """Raises `InputError`: a server's chat says nothing of it."""
        raise InputError(
            f"{self.name} is served, and a server's chat does not say how probable a given text is; ask a local model."
        )

    def _bodies(self, prompts: Sequence[Prompt], sampling: Sampling, seed: int) -> list[list[dict[str, Any]]]:
        """A request for each completion, whose seed follows from the prompt and not from its place."""
        before = Counter[str]()
        rows: list[list[dict[str, Any]]] = []
        for prompt in prompts:
            messages = [{"role": each.role, "content": _content(each)} for each in _messages(prompt, self.system)]
            told = digest_json(messages)
            first = before[told]
            before[told] += sampling.count
            rows.append(
                [
                    {
                        "model": self.name,
                        "messages": messages,
                        "temperature": sampling.temperature,
                        self.most: sampling.most,
                        "seed": int(digest_json([seed, told, first + attempt])[:7], 16),
                        **self.extra,
                    }
                    for attempt in range(sampling.count)
                ]
            )
        return rows

    def _completion(self, body: dict[str, Any], kept: dict[str, _Back], writing: Lock) -> Completion:
        digest = digest_json([self.url, self.opened, body])
        with writing:
            if digest in kept:
                self.calls.kept += 1
                self.calls.blocked += kept[digest].blocked
                _count(self.calls, kept[digest].used)
                return kept[digest].completion
        failures: list[str] = []

        def failed(why: str) -> None:
            failures.append(why)
            with writing:
                self.calls.failed += 1

        usage: Mapping[str, Any] = {}

        try:
            answer = post_json(f"{self.url.rstrip('/')}/chat/completions", body, self.key, self.patience, failed)
            completion, blocked = _completion(answer, self.opened)
            usage = _usage(answer)
        except Refused as refused:
            if refused.code not in (400, 403) or f'"{BLOCKED}"' not in refused.said:
                raise
            completion, blocked = Completion("", None, None, 0, 0, False), True
        used = _Used(_tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"), len(failures))
        with writing:
            self.calls.blocked += blocked
            self.calls.answered += not blocked
            _count(self.calls, used)
            kept[digest] = _Back(completion, blocked, used)
            if self.finished is not None:
                self.finished.parent.mkdir(parents=True, exist_ok=True)
                with self.finished.open("a", encoding="utf-8") as opened:
                    line = {"request": digest, "blocked": blocked, "used": used._asdict(), **asdict(completion)}
                    opened.write(json.dumps(line) + "\n")
        return completion


def _messages(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    if not isinstance(prompt, str):
        return prompt
    return (*(() if system is None else (Message("system", system),)), Message("user", prompt))


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Its text; with images, parts: the text, then each image whole."""
    if not message.images:
        return message.text
    shown = [{"type": "image_url", "image_url": {"url": each.uri}} for each in message.images]
    return [{"type": "text", "text": message.text}, *shown]


def _completion(answer: Mapping[str, Any], opened: bool) -> tuple[Completion, bool]:
    """What came back, and whether it was blocked; raises `InputError` where it is no completion."""
    try:
        choice = cast("Mapping[str, Any]", answer["choices"][0])
        message = cast("Mapping[str, Any]", choice["message"])
        content = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        content, thought, reason = None, None, None
    if not isinstance(content, str) or not isinstance(thought, str):
        raise InputError(
            f"What the server says is no chat completion ({json.dumps(answer)[:120]}); give the address of one that "
            "speaks OpenAI's chat completions."
        )
    content, thought = (
        each.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for each in (content, thought)
    )
    text = f"{OPENING}{thought}{CLOSING}{content}" if thought else f"{OPENING}{content}" if opened else content
    ended = reason in ENDS
    parted = part(text, ended=ended)
    tokens, inside = _counted(_usage(answer), text, parted.thought or "")
    return Completion(text, parted.thought, parted.answer, tokens, inside, ended), reason == BLOCKED


def _counted(usage: Mapping[str, Any], text: str, thought: str) -> tuple[int, int]:
    """Tokens of everything and of the thought."""
    tokens = _tokens(usage, "completion_tokens")
    tokens = len(text.split()) if tokens is None else tokens
    details = usage.get("completion_tokens_details")
    inside = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if not thought or (isinstance(inside, int) and inside > 0):
        return tokens, inside if isinstance(inside, int) and inside > 0 else 0
    return tokens, round(tokens * len(thought) / len(text))


def _usage(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = answer.get("usage")
    return cast("Mapping[str, Any]", usage) if isinstance(usage, dict) else {}


def _tokens(usage: Mapping[str, Any], name: str) -> int | None:
    count = usage.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _count(calls: Calls, used: _Used) -> None:
    calls.prompt_tokens += used.prompt_tokens or 0
    calls.completion_tokens += used.completion_tokens or 0
    calls.uncounted += used.prompt_tokens is None or used.completion_tokens is None
    calls.again += used.again


def _read(path: Path) -> dict[str, _Back]:
    """What is in the file; a last line that was cut short is taken out of it, for it is asked again."""
    if not path.exists():
        return {}
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path} ({error}); give the file of an earlier run, or a new one.") from None
    whole, _, cut = content.rpartition("\n")
    if cut:
        write_text(path, whole + "\n" if whole else "")
    found: dict[str, _Back] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            digest = record.pop("request")
            blocked = bool(record.pop("blocked"))
            used = _Used(**record.pop("used", {}))  # lines of before this was kept have none
            found[digest] = _Back(Completion(**record), blocked, used)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"Line {number} of {path} is no finished request; take the line out, or give a new file."
            ) from None
    return found
