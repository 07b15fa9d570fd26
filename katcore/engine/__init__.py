"""Inference engines: token ids in, token ids and log-probs out.

The client side of SGLang's native HTTP API (`/generate` with `input_ids` and `return_logprob`, weight update from
disk and tensors, memory, flush, health). `sglang:URL` is a server or router somebody runs (`sglang:URL,URL`: several
with one model), `embedded:DIR` a small server of ours that speaks the
same subset over a transformers model, `scripted:FILE` (and the controls `oracle`, `nop`) a deterministic one that
hands out messages. Names are parsed here; one variant, one file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

KINDS = {"embedded": ":", "sglang": ":", "openai": ":", "anthropic": ":", "scripted": ":", "oracle": "", "nop": ""}
"""The kinds of engine names, and what follows the kind in a name."""


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters; `seed` makes one request reproducible on the embedded engine.

    `stop`: texts that end a completion; the token that completed one is the last of its ids.
    `grammar`: a structural tag (`katcore.model.grammars`) that the completion follows; log-probs are then those among
    the tokens that it allows. `grammar_tokens`: so many of the last input ids are what it describes already.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    max_new_tokens: int = 512
    stop_token_ids: tuple[int, ...] = ()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    grammar_tokens: int = 0


@dataclass(frozen=True)
class Generation:
    """A completion: sampled ids, one log-prob each (natural log, at the sampling temperature), and why it ended.

    `finish_reason`: `stop`, `length` or `abort`. `versions` are [start, weight version] over `token_ids`.
    The stop token, when one ended it, is the last of `token_ids`.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str
    versions: list[tuple[int, str]]
    prompt_tokens: int = 0
    cached_tokens: int = 0


class Engine(Protocol):
    """A running engine that speaks tokens. All methods raise EngineError when it does not answer."""

    name: str

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        """Sample one completion of `input_ids`."""

    async def update_weights(self, folder: str, version: str) -> None:
        """Load the weights of a model folder and call them `version` from now on."""

    async def flush_cache(self) -> None:
        """Forget every cached prefix."""

    async def health(self) -> bool:
        """Whether the engine can generate."""

    async def close(self) -> None:
        """Close the connections, and end the server when it is ours."""


Grow = Callable[[list[int], SamplingParams], AsyncIterator[Generation]]
"""The method `stream` of an engine that hands out a completion while it is sampled."""


async def stream(engine: Engine, input_ids: list[int], params: SamplingParams) -> AsyncIterator[Generation]:
    """A completion in parts, each with what is new; as a single part where the engine does not stream.

    Only the last part has a finish reason; `versions` count from the part's own start.
    """
    grow: Grow | None = getattr(engine, "stream", None)
    if grow is not None:
        async for part in grow(input_ids, params):
            yield part
    else:
        yield await engine.generate(input_ids, params)
