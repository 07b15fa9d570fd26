"""SGLang's native HTTP API, as far as the embedded engine speaks it: requests checked, answers in SGLang's shapes.

In: JSON bodies (`requests.py`). Out: aiohttp handlers over a Worker; their answers are
`answers.py`'s.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from aiohttp import web

from katcore.engine.embedded import weights
from katcore.engine.embedded.answers import END, Answers, error, json
from katcore.engine.embedded.grammar import Grammars, Matcher
from katcore.engine.embedded.requests import (
    Abort,
    Generate,
    Memory,
    Pause,
    Refused,
    Sampling,
    Update,
    UpdateTensors,
    decode,
)
from katcore.engine.embedded.stop import StopStrings
from katcore.engine.embedded.worker import MEMORY, Sequence, Worker
from katcore.errors import KatError
from katcore.model.folder import ChatModel

_GREEDY_BELOW = 1e-6


@dataclass
class Api:
    """The handlers; `chat` is None for a model folder without a tokenizer (answers then have no text)."""

    worker: Worker
    chat: ChatModel | None
    _grammars: Grammars | None = None
    _opening: Lock = field(default_factory=Lock)

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
            "/update_weights_from_tensor": self.update_tensors,
            "/release_memory_occupation": self.release,
            "/resume_memory_occupation": self.restore,
            "/flush_cache": self.flush,
            "/pause_generation": self.pause,
            "/continue_generation": self.resume,
            "/abort_request": self.abort,
        }
        app.add_routes([web.get(path, handler) for path, handler in get.items()])
        app.add_routes([web.post(path, handler) for path, handler in post.items()])
        return app

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body: Generate = decode(await request.read(), Generate)
        sampling = body.sampling_params
        sampling.check()
        many = bool(body.input_ids) and isinstance(body.input_ids[0], list)
        prompts: list[Any] = body.input_ids if many else [body.input_ids]
        for prompt in prompts:
            self._check_prompt(prompt, body)
        answers = Answers(self.chat, body.return_logprob, not sampling.no_stop_trim, body.score_from)
        if body.stream:
            if many or sampling.n > 1:
                raise Refused("a stream is one completion of one prompt")
            return await self._stream(request, prompts[0], body, answers)
        found = [answers.whole(sequence) for sequence in await self._finish(prompts, body)]
        return json(found if many or sampling.n > 1 else found[0])

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.worker.alive() else 503)

    async def health_generate(self, request: web.Request) -> web.Response:
        body = Generate([0], Sampling(max_new_tokens=1, temperature=0.0), rid=f"HEALTH_CHECK_{uuid.uuid4().hex}")
        if self.worker.held:  # it could, and does not because it was told so
            return web.Response(status=200)
        await self._finish([[0]], body)
        return web.Response(status=200)

    async def model_info(self, request: web.Request) -> web.Response:
        folder = self.worker.model.folder
        info = {"model_path": folder, "tokenizer_path": folder, "is_generation": True}
        info |= {"weight_version": self.worker.version, "preferred_sampling_params": None}
        return json(info | {"tokenizer_digest": self.chat.digest if self.chat else None})

    async def server_info(self, request: web.Request) -> web.Response:
        worker, model = self.worker, self.worker.model
        return json(
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
        body: Update = decode(await request.read(), Update)
        version = self.worker.version if body.weight_version is None else body.weight_version
        return await self._updated(body, lambda: self.worker.swap(body.model_path, version, body.flush_cache))

    async def update_tensors(self, request: web.Request) -> web.Response:
        body: UpdateTensors = decode(await request.read(), UpdateTensors)
        body.check()
        version = self.worker.version if body.weight_version is None else body.weight_version

        def load() -> Future[None]:
            tensors = weights.decode(body.serialized_named_tensors, body.checksums)
            return self.worker.load(tensors, version, body.flush_cache)

        return await self._updated(body, load)

    async def _updated(self, body: Update | UpdateTensors, update: Callable[[], Future[None]]) -> web.Response:
        if body.abort_all_requests:
            await _done(self.worker.abort(None))
        try:
            await _done(update())
        except KatError as reason:
            return json({"success": False, "message": str(reason), "num_paused_requests": 0}, 400)
        return json({"success": True, "message": "Succeeded to update model weights.", "num_paused_requests": 0})

    async def release(self, request: web.Request) -> web.Response:
        body: Memory = decode(await request.read(), Memory)
        await _done(self.worker.release(MEMORY if body.tags is None else tuple(body.tags)))
        return json(None)

    async def restore(self, request: web.Request) -> web.Response:
        body: Memory = decode(await request.read(), Memory)
        await _done(self.worker.restore(MEMORY if body.tags is None else tuple(body.tags)))
        return json(None)

    async def flush(self, request: web.Request) -> web.Response:
        await _done(self.worker.flush())
        return web.Response(text="Cache flushed.\n")

    async def pause(self, request: web.Request) -> web.Response:
        body: Pause = decode(await request.read(), Pause)
        await _done(self.worker.pause(body.mode))
        return json({"message": "Generation paused successfully.", "status": "ok"})

    async def resume(self, request: web.Request) -> web.Response:
        await _done(self.worker.resume())
        return json({"message": "Generation continued successfully.", "status": "ok"})

    async def abort(self, request: web.Request) -> web.Response:
        body: Abort = decode(await request.read(), Abort)
        if not body.rid and not body.abort_all:
            raise Refused("abort_request needs a rid or abort_all")
        await _done(self.worker.abort(None if body.abort_all else body.rid))
        return web.Response()

    def _check_prompt(self, prompt: Any, body: Generate) -> None:
        model, sampling = self.worker.model, body.sampling_params
        if not prompt or not all(isinstance(token, int) and 0 <= token < model.vocabulary for token in prompt):
            raise Refused(f"input_ids must be a non-empty list of ids below {model.vocabulary}")
        if body.logprob_start_len >= len(prompt):
            raise Refused(f"logprob_start_len {body.logprob_start_len} is beyond the prompt's {len(prompt)} tokens")
        if (sampling.stop_strings or sampling.grammar) and self.chat is None:
            raise Refused("stop strings and grammars need a model folder with a tokenizer")
        if body.grammar_tokens > len(prompt):
            raise Refused(f"grammar_tokens {body.grammar_tokens} is beyond the prompt's {len(prompt)} tokens")
        total = len(prompt) + sampling.max_new_tokens
        if model.context and total > model.context:
            raise Refused(
                f"Requested token count exceeds the model's maximum context length of {model.context} tokens: "
                f"{len(prompt)} of the input and {sampling.max_new_tokens} for the completion"
            )

    async def _finish(self, prompts: list[list[int]], body: Generate) -> list[Sequence]:
        """Run every prompt `n` times to its end; a client that goes away aborts them."""
        loop, rid = asyncio.get_running_loop(), body.rid or uuid.uuid4().hex
        seed = _seed(body.sampling_params)
        futures, several = [], [prompt for prompt in prompts for _ in range(body.sampling_params.n)]
        matchers = [await self._matcher(prompt, body) for prompt in several]
        for number, (prompt, matcher) in enumerate(zip(several, matchers)):
            future: asyncio.Future[Sequence] = loop.create_future()
            futures.append(future)
            self.worker.submit(self._sequence(rid, prompt, body, seed, number, _deliver(future), matcher))
        try:
            return await asyncio.gather(*futures)
        except asyncio.CancelledError:
            self.worker.abort(rid)
            raise

    async def _stream(
        self, request: web.Request, prompt: list[int], body: Generate, answers: Answers
    ) -> web.StreamResponse:
        """Server-sent events until the end; a client that goes away aborts it."""
        rid, grown = body.rid or uuid.uuid4().hex, asyncio.Event()

        matcher = await self._matcher(prompt, body)
        sequence = self._sequence(rid, prompt, body, _seed(body.sampling_params), 0, lambda _: grown.set(), matcher)
        sequence.streamed = True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        self.worker.submit(sequence)
        try:
            await response.prepare(request)
            sent, ended = 0, False
            while not ended:
                await grown.wait()
                grown.clear()
                ended, count = bool(sequence.finish), len(sequence.logprobs)
                await response.write(answers.event(sequence, sent, count, ended))
                sent = count
            await response.write(END)
        except (asyncio.CancelledError, ConnectionError):
            self.worker.abort(rid)
            raise
        return response

    async def _matcher(self, prompt: list[int], body: Generate) -> Matcher | None:
        """The matcher of the request's grammar, if it has one; compiled beside the loop. Refused for a bad grammar."""
        if body.sampling_params.grammar is None:
            return None
        kind, text = body.sampling_params.grammar
        output = prompt[len(prompt) - body.grammar_tokens :]

        def made() -> Matcher:
            with self._opening:
                if self._grammars is None:
                    assert self.chat is not None
                    self._grammars = Grammars(self.chat, self.worker.model.vocabulary)
            matcher = self._grammars.matcher(kind, text, self._stops(body), output)
            if matcher.ended:
                raise Refused("grammar refused: nothing may follow what there is")
            return matcher

        return await asyncio.to_thread(made)

    def _stops(self, body: Generate) -> frozenset[int]:
        """The ids that end a completion."""
        given = body.sampling_params
        return frozenset(given.stop_token_ids or ()) | (
            frozenset() if given.ignore_eos else frozenset(self.worker.model.stop_ids)
        )

    def _sequence(
        self,
        rid: str,
        prompt: list[int],
        body: Generate,
        seed: int,
        number: int,
        told: Callable[[Sequence], None],
        matcher: Matcher | None,
    ) -> Sequence:
        given = body.sampling_params
        texts = given.stop_strings
        return Sequence(
            rid=rid,
            prompt=prompt,
            temperature=0.0 if given.temperature < _GREEDY_BELOW else given.temperature,
            top_p=given.top_p,
            top_k=given.top_k,
            min_p=given.min_p,
            max_new_tokens=given.max_new_tokens,
            stop_ids=self._stops(body),
            seed=seed,
            number=number,
            told=told,
            stop=StopStrings(self.chat, texts) if self.chat is not None and texts else None,
            grammar=matcher,
            score_from=body.score_from,
        )


def _seed(sampling: Sampling) -> int:
    return secrets.randbits(63) if sampling.sampling_seed is None else sampling.sampling_seed


def _deliver(future: asyncio.Future[Sequence]) -> Callable[[Sequence], None]:
    def deliver(sequence: Sequence) -> None:
        if sequence.finish and not future.done():  # a client that went away has cancelled it
            future.set_result(sequence)

    return deliver


async def _done(future: Future[None]) -> None:
    await asyncio.wrap_future(future)


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as reason:
        return web.Response(text=error(str(reason)), status=400, content_type="application/json")
