# pyright: basic, reportMissingImports=false
"""Any policy of ours as a model of Inspect: `surefoot/<name>` opens one, `inspect_model` takes one that is open.

    inspect eval surefoot/refusal --model surefoot/smollm2      smollm2, a Hugging Face folder or a GGUF file
    eval(task, model=inspect_model(policy))                     whatever has `Policy.sample`

Each request is one call of `Policy.sample` for one completion, one at a time. Inspect does not tell a provider the
epoch, so the seed of a request follows from the model's seed, the prompt, and how often that prompt was asked before:
the completions of a prompt are the same set whatever the order, and epochs may change places. What a policy cannot be
asked is an error of its sample.
"""

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.text.completion import Completion
    from surefoot.text.policy import Policy

__all__ = ["SurefootModel", "inspect_model"]

PROVIDER = "surefoot"
MOST = 512
"""Tokens of a completion where Inspect names no number."""
UNKNOWN = ("top_p", "top_k", "stop_seqs", "frequency_penalty", "presence_penalty", "logit_bias", "response_schema")
"""Settings that no policy here has."""


def inspect_model(policy: "Policy", seed: int = 0) -> Model:
    """A policy as a model of Inspect. seed: of all that it draws."""
    return get_model(f"{PROVIDER}/{policy.name}", memoize=False, policy=policy, seed=seed)


@modelapi(name=PROVIDER)
class SurefootModel(ModelAPI):
    """A policy behind Inspect's provider. policy: one that is open; None opens `model_name`."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as the base class has it
        policy: "Policy | None" = None,
        seed: int = 0,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self.policy = _opened(model_name) if policy is None else policy
        self.seed = int(seed)
        self._asked: dict[str, int] = {}
        self._alone = threading.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """See `ModelAPI.generate`; raises `InputError` for tools, and for settings that a policy does not have."""
        from surefoot.inspect.outputs import prompt_of
        from surefoot.text.policy import Sampling

        given = [name for name in UNKNOWN if getattr(config, name, None)]
        if tools or given or (config.num_choices or 1) != 1:
            what = "tools" if tools else given[0] if given else "several choices"
            raise InputError(
                f"The model {self.model_name} was asked with {what}, which policies of surefoot do not have."
            )
        prompt = prompt_of([each.model_dump() for each in input])
        sampling = Sampling(
            count=1,
            most=config.max_tokens or MOST,
            temperature=1.0 if config.temperature is None else config.temperature,
            thinking=config.reasoning_tokens,
        )
        base = self.seed if config.seed is None else config.seed

        def draw() -> "Completion":
            with self._alone:
                told = hashlib.sha256(repr((base, prompt)).encode()).hexdigest()
                again = self._asked.get(told, 0)
                drawn = int(hashlib.sha256(f"{told} {again}".encode()).hexdigest()[:7], 16)
                ((said,),) = self.policy.sample([prompt], sampling, drawn)
                self._asked[told] = again + 1
                return said

        return _output(self.model_name, await anyio.to_thread.run_sync(draw))

    async def count_text_tokens(self, text: str) -> int:
        """About four bytes a token: an estimate that needs no tokenizer of a stranger."""
        return len(text.encode()) // 4 + 1

    def max_connections(self) -> int:
        """One: a policy on this machine is asked one thing at a time."""
        return 1

    def should_retry(self, ex: BaseException) -> bool:
        """Never: what fails here fails again."""
        return False


def _output(model: str, said: "Completion") -> ModelOutput:
    """As Inspect has it; a thought that is whole is reasoning, anything else stands as it was written."""
    blocked = not said.ended and said.tokens == 0
    return ModelOutput(
        model=model,
        choices=[
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=_content(said), model=model, source="generate"),
                stop_reason="content_filter" if blocked else "stop" if said.ended else "max_tokens",
            )
        ],
        usage=ModelUsage(
            output_tokens=said.tokens, total_tokens=said.tokens, reasoning_tokens=said.thought_tokens or None
        ),
    )


def _content(said: "Completion") -> Sequence[Any] | str:
    if said.thought is not None and said.answer is not None:
        return [ContentReasoning(reasoning=said.thought), ContentText(text=said.answer)]
    return [ContentText(text=said.text)]


def _opened(name: str) -> "Policy":
    """smollm2, a Hugging Face folder or a GGUF file."""
    from surefoot.hub.chat import chat_policy
    from surefoot.hub.language import open_language_model

    return chat_policy(open_language_model(name), roles={"developer": "system"})
