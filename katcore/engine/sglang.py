"""Client of SGLang's native HTTP API: SGLang itself, `sglang-router`, and the embedded engine.

In: token ids and sampling parameters. Out: Generation, whole or in parts. Every call here may be repeated (sampling
changes no state, an update to the same folder is the same update), so connection failures and a router's 5xx are
retried, on another server where several were given.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from katcore.engine import Generation, SamplingParams, sglang_wire
from katcore.engine import tensors as packing
from katcore.engine.sglang_http import Attempts, Broken, ContextOverflow, GrammarRefused, Servers
from katcore.engine.written import WrittenIds
from katcore.errors import EngineError, InputError
from katcore.model.weight_files import check_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["ContextOverflow", "GrammarRefused", "SGLangEngine"]
_EMBEDDED = "kat-embedded/"
T = TypeVar("T")


class SGLangEngine:
    """Servers or a router at `http://…` or `unix:/path`; use it from one event loop.

    Several servers hold the same model. A prompt goes to the one that has seen most of it, unless it is busy; weights,
    pauses and flushes go to all.
    """

    def __init__(self, url: str | Sequence[str], name: str = "", closing: Callable[[], None] | None = None) -> None:
        """`closing` runs at `close`: it stops a server that is ours."""
        urls = [url] if isinstance(url, str) else list(url)
        self.name = name or f"sglang:{','.join(urls)}"
        self._servers = Servers(urls, self.name)
        self._closing = closing
        self._sent: dict[str, str] = {}

    @property
    def urls(self) -> list[str]:
        """Where its servers are."""
        return self._servers.urls

    async def generate(self, input_ids: list[int], params: SamplingParams, rid: str = "") -> Generation:
        """Sample one completion of `input_ids`; ContextOverflow when it does not fit. `rid`: a name to abort it by.

        GrammarRefused for a grammar that is not taken.
        """
        body = await self._begun(input_ids, params)
        with self._named(rid) as named:
            data = await self._servers.ask_one("/generate", lambda attempt: body | named(attempt), input_ids)
        return self._read("/generate", lambda: sglang_wire.generation(self._servers.table("/generate", data)))

    async def samples(self, input_ids: list[int], params: SamplingParams, n: int) -> list[Generation]:
        """`n` completions of one prompt, which is read once."""
        body = _body(input_ids, params)
        body["sampling_params"]["n"] = n
        data = await self._servers.ask_one("/generate", lambda _: body, input_ids)
        answers = self._read("/generate", lambda: orjson.loads(data))
        found = answers if isinstance(answers, list) else [answers]
        if len(found) != n:
            raise EngineError(f"{self.name}: /generate answered {len(found)} completions instead of {n}")
        return self._read("/generate", lambda: [sglang_wire.generation(answer) for answer in found])

    async def stream(
        self, input_ids: list[int], params: SamplingParams, rid: str = ""
    ) -> AsyncGenerator[Generation, None]:
        """Like `generate`, in parts; `versions` count from each part's start, only the last has a finish reason.

        When a server dies the rest is sampled by the next one, behind what there is: a seed does not repeat then, and
        a stop string across that place is missed.
        """
        attempts, got = Attempts(self._servers, input_ids), list[int]()
        with self._named(rid) as named:
            while len(got) < params.max_new_tokens:
                left = going_on(params, len(got))
                body = await self._begun(input_ids + got if got else input_ids, left)
                body |= {"stream": True} | named(attempts.number)
                try:
                    async with aclosing(self._parts(attempts, body)) as parts:
                        async for part in parts:
                            got += part.token_ids
                            yield replace(part, prompt_tokens=len(input_ids))
                    return
                except Broken as reason:
                    await attempts.failed(reason)
        yield Generation([], [], "length", [], len(input_ids))  # only the last event was lost

    async def score(self, tokens: Sequence[int], start: int = 1) -> list[float]:
        """Log-probs of `tokens[start:]` (natural log, T = 1), each behind all before it; `start` is 1 or more."""
        if not 1 <= start < len(tokens):
            raise ValueError(f"start {start} is not within 1 … {len(tokens) - 1}")
        body: dict[str, Any] = {"input_ids": list(tokens), "return_logprob": True, "logprob_start_len": start - 1}
        body["sampling_params"] = {"max_new_tokens": 0, "temperature": 1.0}
        data = await self._servers.ask_one("/generate", lambda _: body, tokens)
        answer = self._servers.table("/generate", data)
        return self._read("/generate", lambda: sglang_wire.scores(answer, tokens, start))

    async def update_weights(self, folder: str, version: str) -> None:
        """Load the weights of a model folder and call them `version` from now on."""
        try:
            await asyncio.to_thread(check_files, folder)  # what is cut short would end SGLang's server
        except InputError as error:
            raise EngineError(str(error)) from error
        body = {"model_path": folder, "weight_version": version, "flush_cache": True}
        await self._updated("/update_weights_from_disk", body)

    async def update_tensors(
        self, tensors: Mapping[str, Tensor], version: str, names: Mapping[str, str] | None = None
    ) -> None:
        """Load all weights from tensors; `names` maps the trainer's to the engine's.

        InputError or EngineError when they are not all of the model's weights: then none is changed. SGLang waits for
        what runs to end, unless it is paused.
        """
        given = packing.renamed(tensors, names or {})
        (info, *_), (model, *_) = await asyncio.gather(self._info("/server_info"), self._info("/model_info"))
        options = {"weight_version": version, "flush_cache": True}
        if str(info.get("version", "")).startswith(_EMBEDDED):
            body = await asyncio.to_thread(packing.safetensors_body, given)
            await self._updated("/update_weights_from_tensor", body | options)
            return
        await asyncio.to_thread(packing.check_whole, given, str(model["model_path"]))
        body = await asyncio.to_thread(packing.sglang_body, given, int(info.get("tp_size") or 1))
        await self._updated("/begin_weight_update", {})
        try:
            await self._updated("/update_weights_from_tensor", body | options)
        finally:
            await self._updated("/end_weight_update", {})

    async def flush_cache(self) -> None:
        """Forget every cached prefix."""
        await self._servers.ask_all("POST", "/flush_cache")

    async def pause(self, mode: str = "in_place") -> None:
        """Stop generating until `resume`: `in_place`, `retract` (KV is recomputed) or `abort` (requests end)."""
        await self._servers.ask_all("POST", "/pause_generation", {"mode": mode})

    async def resume(self) -> None:
        """Go on generating."""
        await self._servers.ask_all("POST", "/continue_generation", {})

    async def release_memory(self, tags: Sequence[str] | None = None) -> None:
        """Free the memory that `tags` name (`kv_cache`, `weights`; all without tags) until `resume_memory`.

        SGLang needs `--enable-memory-saver`, and has no weights afterwards but those of the next update.
        """
        await self._servers.ask_all("POST", "/release_memory_occupation", _tags(tags))

    async def resume_memory(self, tags: Sequence[str] | None = None) -> None:
        """Take back what was released."""
        await self._servers.ask_all("POST", "/resume_memory_occupation", _tags(tags))

    async def abort(self, rid: str = "") -> None:
        """End one request, or all, now; they answer with what they have and finish reason `abort`."""
        body = {"rid": self._sent.get(rid, rid), "abort_all": not rid}
        await self._servers.ask_all("POST", "/abort_request", body)

    async def model_info(self) -> dict[str, Any]:
        """`model_path`, `weight_version` of the first server; from the embedded engine also `tokenizer_digest`."""
        return (await self._info("/model_info"))[0]

    async def health(self) -> bool:
        """Whether every server can generate."""
        try:
            await self._servers.ask_all("GET", "/health_generate")
        except EngineError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections, and end the server when it is ours."""
        await self._servers.close()
        if self._closing is not None:
            closing, self._closing = self._closing, None
            await asyncio.to_thread(closing)

    async def _begun(self, input_ids: list[int], params: SamplingParams) -> dict[str, Any]:
        """The body of /generate. EngineError where SGLang would begin a grammar anew in the middle of what it says."""
        body = _body(input_ids, params)
        if params.grammar is None or not params.grammar_tokens:
            return body
        info, *_ = await self._info("/server_info")
        if not str(info.get("version", "")).startswith(_EMBEDDED):
            raise EngineError(f"{self.name}: the completion was broken off, and SGLang goes on with no grammar")
        return body | {"grammar_tokens": params.grammar_tokens}

    async def _info(self, path: str) -> list[dict[str, Any]]:
        return await self._servers.ask_all_json("GET", path)

    async def _parts(self, attempts: Attempts, body: dict[str, Any]) -> AsyncGenerator[Generation, None]:
        """The parts of one attempt. The last one waits for the end of the stream, so that its connection is reused."""
        growing, last = sglang_wire.Growing(), None
        with attempts.running():
            async with aclosing(self._servers.events(attempts.server, "/generate", body)) as events:
                try:
                    async for event in events:
                        part = self._read("/generate", functools.partial(growing.part, event))
                        if part.finish_reason:
                            last = part
                        else:
                            yield part
                except Broken:
                    if last is None:
                        raise
        if last is None:
            raise Broken("/generate: the stream ended without a finish reason")
        self._servers.routes.answered(attempts.server)
        yield last

    async def _updated(self, path: str, body: dict[str, Any]) -> None:
        for answer in await self._servers.ask_all_json("POST", path, body):
            if not answer.get("success"):
                raise EngineError(f"{self.name}: weights not updated: {answer.get('message')}")

    def _read(self, path: str, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except sglang_wire.BAD_SHAPE as reason:
            raise EngineError(f"{self.name}: {path} answered in another shape ({reason!r})") from None

    @contextmanager
    def _named(self, rid: str) -> Iterator[Callable[[int], dict[str, str]]]:
        """The `rid` of each attempt: a new one, since the last attempt's request may still be running."""
        own = rid or uuid.uuid4().hex

        def named(attempt: int) -> dict[str, str]:
            self._sent[own] = f"{own}.{attempt}" if attempt else own
            return {"rid": self._sent[own]}

        try:
            yield named
        finally:
            self._sent.pop(own, None)


def going_on(params: SamplingParams, done: int) -> SamplingParams:
    """The parameters for the rest of a completion of which so many tokens stand behind the prompt."""
    if not done:
        return params
    return replace(params, max_new_tokens=params.max_new_tokens - done, grammar_tokens=params.grammar_tokens + done)


def _body(input_ids: list[int], params: SamplingParams) -> dict[str, Any]:
    ids = input_ids.json if isinstance(input_ids, WrittenIds) else input_ids
    return {"input_ids": ids, "sampling_params": sglang_wire.sampling(params), "return_logprob": True}


def _tags(tags: Sequence[str] | None) -> dict[str, Any]:
    return {} if tags is None else {"tags": list(tags)}
