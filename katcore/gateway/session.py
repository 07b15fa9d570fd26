"""One rollout at the gateway: its tree, its calls, its caps, and what becomes of a retry.

In: requests in one form. Out: replies, and when it ends nodes, calls and the reason why the gateway stopped it, if it
did. A call is journalled before it is answered; one that is in flight when the session closes is finished or, after a
moment, cancelled, and recorded either way. Everything runs on the gateway's event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from katcore.engine import SamplingParams
from katcore.engine.sglang import ContextOverflow
from katcore.errors import EngineError, KatError
from katcore.gateway.dialects import BadRequest, Reply, Request
from katcore.gateway.journal import Journal
from katcore.gateway.model import Answer, Model
from katcore.gateway.tree import Prompt, Tree
from katcore.model.template import TemplateError
from katcore.pool import seed_for
from katcore.records import Call, Exit, Node, Outcome, Sampling, content_id

REMEMBERED = 8
"""Answered requests that a late retry may still ask for."""


@dataclass(frozen=True)
class Caps:
    """What one rollout may use. Tokens are sampled ones; context is prompt plus completion of one call."""

    calls: int = 200
    tokens: int = 1_000_000
    seconds: float = 3600.0
    context: int = 1 << 20
    completion: int = 4096


class Stopped(BadRequest):
    """The rollout has used up what it may use: the agent gets an error that its client does not retry."""

    def __init__(self, stop: Exit) -> None:
        code = "context_length_exceeded" if stop.kind == "context" else "rollout_stopped"
        super().__init__(f"{stop.kind}: {stop.detail}", code=code)


class Unavailable(BadRequest):
    """The engine did not answer: the agent's client may try again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, code="engine_error", status=503)


@dataclass(frozen=True)
class Trace:
    """What a rollout left at the gateway."""

    nodes: list[Node]
    calls: list[Call]
    stop: Exit | None


@dataclass(eq=False)
class Session:
    """One rollout. `agent_sampling` lets the agent's own temperature and top-p stand (evaluation, not training)."""

    id: str
    key: str
    model: Model
    caps: Caps
    sampling: SamplingParams
    seed: int
    journal: Journal
    socket: Path | None = None
    outcome: Callable[[str], Outcome] | None = None
    agent_sampling: bool = False
    stop: Exit | None = None
    calls: list[Call] = field(default_factory=list)
    fault: BaseException | None = None
    """A mistake of ours in answering, such as tokens that do not add up: raised when the session closes."""

    def __post_init__(self) -> None:
        self.tree = Tree(self.model.chat, self.outcome)
        self._started = time.monotonic()
        self._tokens = 0
        self._next = 0
        self._written = 0
        self._known: dict[str, asyncio.Task[Reply]] = {}
        self._running: set[asyncio.Task[Reply]] = set()
        self._retries: dict[str, int] = {}

    # ------------------------------------------------------------------ answering

    async def complete(self, request: Request, dialect: str, body: bytes, retry: int) -> Reply:
        """The reply to a request; a retry of one that was or is being answered gets that one's reply."""
        digest = hashlib.sha256(body).hexdigest()
        known = self._known.get(digest)
        if retry > 0:
            self._retries[digest] = retry
            if known is not None and not _failed(known):
                return await asyncio.shield(known)
        task = asyncio.ensure_future(self._complete(request, dialect, digest))
        self._known[digest] = task
        while len(self._known) > REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Reply]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BadRequest):
            self.fault = error

    async def _complete(self, request: Request, dialect: str, digest: str) -> Reply:
        if self.stop is not None:
            raise Stopped(self.stop)
        number, self._next = self._next, self._next + 1
        if number >= self.caps.calls:
            raise self._halt("turns", f"{self.caps.calls} model calls")
        try:
            prompt = self.tree.prompt(request.messages, request.tools, number)
        except TemplateError as error:
            raise BadRequest(str(error)) from None
        call = Call(
            id=number,
            dialect=dialect,
            started_at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            engine=self.model.name,
        )
        began = time.monotonic()
        try:
            params = self._params(request, prompt, number)
            call.sampling, call.logprob_temperature = _recorded(params), params.temperature
            answer = await self._ask(prompt, request, params, number)
        except BaseException as error:
            self._failed(call, prompt, began, error)
            raise
        return self._record(call, prompt, answer, began, digest)

    async def _ask(self, prompt: Prompt, request: Request, params: SamplingParams, number: int) -> Answer:
        left = self.caps.seconds - (time.monotonic() - self._started)
        seed = f"{self.id}:{number}"
        try:
            async with asyncio.timeout(left):
                answer = await self.model.answer(prompt, request.messages, params, number, seed)
        except TimeoutError:
            raise self._halt("time", f"{self.caps.seconds:g} s") from None
        except ContextOverflow as error:
            raise self._halt("context", str(error)) from error
        except EngineError as error:
            raise Unavailable(str(error)) from error
        except KatError as error:
            raise BadRequest(str(error)) from error
        if answer.finish_reason == "abort":
            raise Unavailable("the engine gave the request up")
        return answer

    def _params(self, request: Request, prompt: Prompt, number: int) -> SamplingParams:
        """The sampling parameters in force: ours, whatever the agent asks; its own token limit may only lower ours."""
        room, left = self.caps.context - len(prompt.ids), self.caps.tokens - self._tokens
        if room < 1:
            raise self._halt("context", f"a prompt of {len(prompt.ids)} tokens for {self.caps.context}")
        if left < 1:
            raise self._halt("tokens", f"{self.caps.tokens} tokens")
        if time.monotonic() - self._started >= self.caps.seconds:
            raise self._halt("time", f"{self.caps.seconds:g} s")
        limit = min(room, left, self.caps.completion, request.max_tokens or self.caps.completion)
        # 31 bits: engines take no more.
        seed = seed_for(self.seed, f"call {number}") & 0x7FFFFFFF
        params = replace(self.sampling, max_new_tokens=limit, seed=seed, stop_token_ids=tuple(self.model.chat.stop_ids))
        if self.agent_sampling:
            own = {name: request.asked[name] for name in ("temperature", "top_p") if name in request.asked}
            params = replace(params, **own)
        return params

    def _halt(self, kind: str, detail: str) -> Stopped:
        self.stop = self.stop or Exit(kind=kind, detail=detail)
        return Stopped(self.stop)

    # ------------------------------------------------------------------ recording

    def _record(self, call: Call, prompt: Prompt, answer: Answer, began: float, digest: str) -> Reply:
        sampled = answer.sampled
        node = self.tree.completion(prompt, sampled, call.id)
        self._tokens += len(sampled.token_ids)
        call.node = node.id
        call.seconds = call.first_token_s = round(time.monotonic() - began, 6)
        call.usage = {"prompt_tokens": len(prompt.ids), "completion_tokens": len(sampled.token_ids)}
        call.usage["cached_tokens"] = answer.cached_tokens
        call.finish_reason = _finish(answer)
        call.retries = self._retries.get(digest, 0)
        self._write(call, prompt)
        return Reply(
            id="chatcmpl-" + content_id(self.id, str(call.id)),
            message=sampled.message,
            finish_reason=call.finish_reason,
            prompt_tokens=len(prompt.ids),
            completion_tokens=len(sampled.token_ids),
            cached_tokens=answer.cached_tokens,
        )

    def _failed(self, call: Call, prompt: Prompt, began: float, error: BaseException) -> None:
        call.seconds = round(time.monotonic() - began, 6)
        call.error = "cancelled" if isinstance(error, asyncio.CancelledError) else f"{type(error).__name__}: {error}"
        self._write(call, prompt)

    def _write(self, call: Call, prompt: Prompt) -> None:
        # All that is not in the journal yet: a parent may be the prompt of another call that is still in flight.
        self.calls.append(call)
        self.journal.append(call, self.tree.nodes[self._written :], prompt.outcomes)
        self._written = len(self.tree.nodes)

    # ------------------------------------------------------------------ ending

    async def finish(self, grace_s: float = 2.0) -> Trace:
        """Let calls in flight end, or cancel them; what was recorded."""
        running = set(self._running)
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return Trace(self.tree.nodes, sorted(self.calls, key=lambda call: call.id), self.stop)


def _failed(task: asyncio.Task[Reply]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _finish(answer: Answer) -> str:
    if answer.finish_reason == "stop" and answer.sampled.message.get("tool_calls"):
        return "tool_calls"
    return answer.finish_reason


def _recorded(params: SamplingParams) -> Sampling:
    return Sampling(temperature=params.temperature, top_p=params.top_p, top_k=params.top_k, min_p=params.min_p)


def cut_off(trace: Trace, said: Exit) -> Exit:
    """Why a rollout ended: what the gateway stopped it for, else what the agent says, unless its last word was cut."""
    if trace.stop is not None:
        return trace.stop
    answered = [call for call in trace.calls if call.error is None]
    if said.kind == "submitted" and answered and answered[-1].finish_reason == "length":
        return Exit(kind="tokens", detail="the last answer was cut off")
    if said.kind == "agent_error" and trace.calls and trace.calls[-1].error:
        return Exit(kind="engine", detail=str(trace.calls[-1].error))
    return said
