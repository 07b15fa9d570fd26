"""SGLang's native HTTP API, as far as the embedded engine speaks it: requests checked, answers in SGLang's shapes.

In: JSON bodies. Out: aiohttp handlers over a Worker. What would change the result and is not supported (penalties,
grammars, stop strings, streaming) is refused with 400, never ignored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import orjson
from aiohttp import web
from msgspec import Meta, Struct

from katcore.engine.embedded_worker import Sequence, Worker
from katcore.errors import KatError
from katcore.model.folder import ChatModel

Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
_GREEDY_BELOW = 1e-6


class Refused(Exception):
    """The request cannot be served as it stands: 400."""


class Sampling(Struct, forbid_unknown_fields=True):
    """`sampling_params`; the last ones are accepted at their neutral value only, or do not matter to token ids."""

    temperature: Annotated[float, Meta(ge=0.0)] = 1.0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    top_k: int = -1
    min_p: Unit = 0.0
    max_new_tokens: Annotated[int, Meta(ge=1)] = 128
    stop_token_ids: list[int] | None = None
    sampling_seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=256)] = 1
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    no_stop_trim: bool = False
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0

    def check(self) -> None:
        """Refuse what this engine does not do."""
        if self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1.0 or self.min_new_tokens:
            raise Refused("penalties and min_new_tokens are not supported by the embedded engine")


class Generate(Struct):
    """The body of /generate; fields that it does not name are SGLang's and do not matter here."""

    input_ids: list[int | list[int]]
    sampling_params: Sampling = msgspec.field(default_factory=Sampling)
    return_logprob: bool = False
    rid: str | None = None
    stream: bool = False


class Update(Struct):
    """The body of /update_weights_from_disk."""

    model_path: str
    weight_version: str | None = None
    flush_cache: bool = True
    abort_all_requests: bool = False


class Pause(Struct):
    """The body of /pause_generation."""

    mode: Literal["abort", "retract", "in_place"] = "abort"


class Abort(Struct):
    """The body of /abort_request."""

    rid: str = ""
    abort_all: bool = False


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as reason:
        raise Refused(str(reason)) from None


@dataclass
class Api:
    """The handlers; `chat` is None for a model folder without a tokenizer (answers then have no text)."""

    worker: Worker
    chat: ChatModel | None

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_errors], client_max_size=1 << 28)
        get = {
            "/health": self.health,
            "/health_generate": self.health_generate,
            "/model_info": self.model_info,
            "/server_info": self.server_info,
        }
        post = {
            "/generate": self.generate,
            "/update_weights_from_disk": self.update,
            "/flush_cache": self.flush,
            "/pause_generation": self.pause,
            "/continue_generation": self.resume,
            "/abort_request": self.abort,
        }
        app.add_routes([web.get(path, handler) for path, handler in get.items()])
        app.add_routes([web.post(path, handler) for path, handler in post.items()])
        return app

    async def generate(self, request: web.Request) -> web.Response:
        body: Generate = _decode(await request.read(), Generate)
        if body.stream:
            raise Refused("streaming is not supported by the embedded engine")
        body.sampling_params.check()
        many = bool(body.input_ids) and isinstance(body.input_ids[0], list)
        prompts: list[Any] = body.input_ids if many else [body.input_ids]
        for prompt in prompts:
            self._check_prompt(prompt, body.sampling_params)
        rid = body.rid or uuid.uuid4().hex
        sequences = await self._finish(rid, prompts, body.sampling_params)
        answers = [self._answer(sequence, body) for sequence in sequences]
        return _json(answers if many or body.sampling_params.n > 1 else answers[0])

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.worker.alive() else 503)

    async def health_generate(self, request: web.Request) -> web.Response:
        await self._finish(f"HEALTH_CHECK_{uuid.uuid4().hex}", [[0]], Sampling(max_new_tokens=1, temperature=0.0))
        return web.Response(status=200)

    async def model_info(self, request: web.Request) -> web.Response:
        folder = self.worker.model.folder
        info = {"model_path": folder, "tokenizer_path": folder, "is_generation": True}
        info |= {"weight_version": self.worker.version, "preferred_sampling_params": None}
        return _json(info | {"tokenizer_digest": self.chat.digest if self.chat else None})

    async def server_info(self, request: web.Request) -> web.Response:
        worker, model = self.worker, self.worker.model
        return _json(
            {
                "version": "kat-embedded/1",
                "model_path": model.folder,
                "dtype": str(model.network.dtype).removeprefix("torch."),
                "device": str(model.device),
                "context_length": model.context or None,
                "vocab_size": model.vocabulary,
                "max_running_requests": worker.max_running,
                "weight_version": worker.version,
                "running": len(worker.running),
                "waiting": len(worker.waiting),
                "decoding_steps": worker.steps,
            }
        )

    async def update(self, request: web.Request) -> web.Response:
        body: Update = _decode(await request.read(), Update)
        if body.abort_all_requests:
            await _done(self.worker.abort(None))
        version = body.weight_version if body.weight_version is not None else self.worker.version
        try:
            await _done(self.worker.swap(body.model_path, version, body.flush_cache))
        except KatError as reason:
            return _json({"success": False, "message": str(reason), "num_paused_requests": 0}, 400)
        return _json({"success": True, "message": "Succeeded to update model weights.", "num_paused_requests": 0})

    async def flush(self, request: web.Request) -> web.Response:
        await _done(self.worker.flush())
        return web.Response(text="Cache flushed.\n")

    async def pause(self, request: web.Request) -> web.Response:
        body: Pause = _decode(await request.read(), Pause)
        await _done(self.worker.pause(body.mode))
        return _json({"message": "Generation paused successfully.", "status": "ok"})

    async def resume(self, request: web.Request) -> web.Response:
        await _done(self.worker.resume())
        return _json({"message": "Generation continued successfully.", "status": "ok"})

    async def abort(self, request: web.Request) -> web.Response:
        body: Abort = _decode(await request.read(), Abort)
        if not body.rid and not body.abort_all:
            raise Refused("abort_request needs a rid or abort_all")
        await _done(self.worker.abort(None if body.abort_all else body.rid))
        return web.Response()

    def _check_prompt(self, prompt: Any, sampling: Sampling) -> None:
        model = self.worker.model
        if not prompt or not all(isinstance(token, int) and 0 <= token < model.vocabulary for token in prompt):
            raise Refused(f"input_ids must be a non-empty list of ids below {model.vocabulary}")
        total = len(prompt) + sampling.max_new_tokens
        if model.context and total > model.context:
            raise Refused(
                f"Requested token count exceeds the model's maximum context length of {model.context} tokens: "
                f"{len(prompt)} of the input and {sampling.max_new_tokens} for the completion"
            )

    async def _finish(self, rid: str, prompts: list[list[int]], sampling: Sampling) -> list[Sequence]:
        """Run every prompt `n` times to its end; a client that goes away aborts them."""
        loop = asyncio.get_running_loop()
        seed = secrets.randbits(63) if sampling.sampling_seed is None else sampling.sampling_seed
        stops = frozenset(sampling.stop_token_ids or ())
        stops |= frozenset(() if sampling.ignore_eos else self.worker.model.stop_ids)
        futures = []
        for number, prompt in enumerate(prompt for prompt in prompts for _ in range(sampling.n)):
            future: asyncio.Future[Sequence] = loop.create_future()
            sequence = _sequence(rid, prompt, sampling, stops, seed, number, _deliver(loop, future))
            futures.append(future)
            self.worker.submit(sequence)
        try:
            return await asyncio.gather(*futures)
        except asyncio.CancelledError:
            self.worker.abort(rid)
            raise

    def _answer(self, sequence: Sequence, body: Generate) -> dict[str, Any]:
        if sequence.error:
            raise web.HTTPInternalServerError(text=_error(f"generation failed: {sequence.error}"))
        versions, count = sequence.versions, len(sequence.output)
        ends = [start for start, _ in versions[1:]] + [count]
        meta: dict[str, Any] = {
            "id": sequence.rid,
            "finish_reason": _finish_reason(sequence),
            "prompt_tokens": len(sequence.prompt),
            "completion_tokens": count,
            "cached_tokens": sequence.cached or 0,
            "weight_version": versions[-1][1] if versions else self.worker.version,
            "weight_versions": [
                {"version": version, "start": start, "end": end} for (start, version), end in zip(versions, ends)
            ],
            "e2e_latency": time.monotonic() - sequence.started,
        }
        if body.return_logprob:
            meta["output_token_logprobs"] = [[p, t, None] for p, t in zip(sequence.logprobs, sequence.output)]
        return {"text": self._text(sequence), "output_ids": sequence.output, "meta_info": meta}

    def _text(self, sequence: Sequence) -> str:
        if self.chat is None:
            return ""
        stopped = sequence.finish == "stop"
        return self.chat.decode(sequence.output[:-1] if stopped else sequence.output)


def _sequence(
    rid: str,
    prompt: list[int],
    sampling: Sampling,
    stops: frozenset[int],
    seed: int,
    number: int,
    done: Callable[[Sequence], None],
) -> Sequence:
    return Sequence(
        rid=rid,
        prompt=prompt,
        temperature=0.0 if sampling.temperature < _GREEDY_BELOW else sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        max_new_tokens=sampling.max_new_tokens,
        stop_ids=stops,
        seed=seed,
        number=number,
        done=done,
    )


def _deliver(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Sequence]) -> Callable[[Sequence], None]:
    def set_result(sequence: Sequence) -> None:
        if not future.done():  # a client that went away has cancelled it
            future.set_result(sequence)

    def deliver(sequence: Sequence) -> None:
        loop.call_soon_threadsafe(set_result, sequence)

    return deliver


def _finish_reason(sequence: Sequence) -> dict[str, Any]:
    if sequence.finish == "stop":
        return {"type": "stop", "matched": sequence.output[-1]}
    if sequence.finish == "length":
        return {"type": "length", "length": len(sequence.output)}
    return {"type": "abort", "message": "Aborted by a request or a pause."}


async def _done(future: Future[None]) -> None:
    await asyncio.wrap_future(future)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _error(message: str) -> str:
    return orjson.dumps({"error": {"message": message}}).decode()


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as reason:
        return web.Response(text=_error(str(reason)), status=400, content_type="application/json")
