"""One rollout at the gateway: its tree, its calls, its caps, and what becomes of a retry.

In: requests in one form. Out: answers, and when it ends nodes, calls and the reason why the gateway stopped it, if any.
A call is journalled before it is answered, and each part of it before it is forwarded; one that is in flight when
the session closes is finished or, after a moment, cancelled, and recorded either way. Everything runs on the gateway's
event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from katcore.engine import SamplingParams
from katcore.engine.sglang import ContextOverflow, GrammarRefused
from katcore.errors import EngineError, KatError
from katcore.gateway.constraints import demanding
from katcore.gateway.dialects import BadRequest, Reply, Request
from katcore.gateway.gate import Gate
from katcore.gateway.history import History
from katcore.gateway.hook import KEEP, Decision, Hook
from katcore.gateway.incremental import IncrementalRenderer
from katcore.gateway.journal import Entry, Journal
from katcore.gateway.memo import Memo
from katcore.gateway.metrics import Metrics
from katcore.gateway.model import Answer, AnswerPart, Model, written
from katcore.gateway.pending import PendingAnswer
from katcore.gateway.prepared import Expressible
from katcore.gateway.refusals import OVERFLOWED, REFUSED, Denied, Stopped, Unavailable, overflow
from katcore.gateway.sampling import own_sampling, recorded, sampling_seed
from katcore.gateway.tree import Prompt, RolloutTree, Sampled
from katcore.gateway.voice import Voices
from katcore.model.template import TemplateError
from katcore.records import Boundary, Call, Exit, Node, content_id
from katcore.scaffold.outcomes import Rules

REMEMBERED = 8
"""How many answered requests are kept for a late retry."""
GRACE_S = 2.0
"""Seconds that a call in flight is given when its session closes."""
LOOK_S = 0.5
"""Seconds between two checks whether a call has used up its time, pauses of the gateway left out."""
NEVER_CALLED = "the agent made no model call"


@dataclass(frozen=True)
class Caps:
    """The limits of one rollout. Tokens are sampled ones; context is prompt plus completion of one call.

    `concurrent` calls run at once, others wait; `call_seconds` is the longest that one may take; so many `failures` of
    the engine one after the other end the rollout. Time during which the gateway is paused counts for neither.
    """

    calls: int
    tokens: int
    seconds: float
    context: int
    completion: int
    concurrent: int = 16
    call_seconds: float = 1800.0
    failures: int = 8


@dataclass(frozen=True)
class Trace:
    """What a rollout left at the gateway."""

    nodes: list[Node]
    calls: list[Call]
    stop: Exit | None


@dataclass
class _CallUnderWay:
    """A call that is being answered."""

    number: int
    call: Call
    request: Request
    prompt: Prompt
    began: float
    pending: PendingAnswer
    grammar: str | None = None


@dataclass(eq=False)
class Session:
    """One rollout at the gateway; `agent_sampling` keeps the agent's own temperature and the like."""

    id: str
    key: str
    model: Model
    caps: Caps
    sampling: SamplingParams
    seed: int
    journal: Journal
    history: History
    socket: Path | None = None
    rules: Rules | None = None
    agent_sampling: bool = False
    hook: Hook | None = None
    renderer: IncrementalRenderer = field(default_factory=IncrementalRenderer)
    expressible: Expressible | None = None
    gate: Gate = field(default_factory=Gate)
    metrics: Metrics = field(default_factory=Metrics)
    stop: Exit | None = None
    calls: list[Call] = field(default_factory=list)
    fault: BaseException | None = None
    """A mistake of ours in answering, such as tokens that do not add up: raised when the session closes."""

    def __post_init__(self) -> None:
        self.tree = RolloutTree(self.model.chat, self.history, self.rules, self.renderer)
        self.memo = Memo()
        chat = self.model.chat
        self._voices = Voices(chat) if self.agent_sampling and chat is not None else None
        self.tokens = 0
        self._started = time.monotonic() - self.gate.paused_seconds()
        self._failures = 0
        self._asked = 0
        self._next = 0
        self._written = 0
        self._known: dict[Hashable, PendingAnswer] = {}
        self._running: set[asyncio.Task[Reply]] = set()
        self._slots = asyncio.Semaphore(self.caps.concurrent)

    # ------------------------------------------------------------------ answering

    def ask(self, request: Request, dialect: str, retry: int) -> PendingAnswer:
        """Begin to answer a request; a retry of one that was or is being answered gets that one's answer.

        Clients' SDKs mark retries. Without a mark the same question is one while its answer has not arrived; it is
        the same if the model would see the same: a client may ask for a stream first, and then for the whole.
        """
        question = self._question(request)
        known = self._known.get(question)
        if known is not None and not known.failed and (retry > 0 or not known.delivered):
            known.retries = max(retry, known.retries + 1)
            known.mark()
            self.metrics.add("retries_coalesced")
            return known
        self._asked += 1
        pending = PendingAnswer(content_id(self.id, str(self._asked)), retry)
        pending.task = asyncio.ensure_future(self._complete(request, dialect, pending))
        pending.task.add_done_callback(lambda _: pending.tell())
        self._known[question] = pending
        while len(self._known) > REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._running.add(pending.task)
        pending.task.add_done_callback(self._ended)
        return pending

    async def complete(self, request: Request, dialect: str, retry: int) -> Reply:
        """The reply to a request; if the caller's wait is cancelled, the call goes on."""
        pending = self.ask(request, dialect, retry)
        with pending.wanted():
            return await asyncio.shield(pending.task)

    def count(self, request: Request) -> int:
        """The number of tokens of a prompt. BadRequest where the template refuses it."""
        chat = self.model.chat
        if chat is None:
            return sum(len(str(message)) for message in request.messages) // 4
        try:
            return len(chat.encode_prompt(self._prepared(request).messages, request.tools))
        except TemplateError as error:
            raise BadRequest(str(error)) from None

    def _question(self, request: Request) -> Hashable:
        """What is equal for requests that ask the same. Token limits do not count: clients lower them to ask again."""
        wishes = repr(request.schema), repr(request.asked), request.seed, request.effort
        demands = (request.forced, request.stop, request.parallel, *wishes)
        return self.tree.keys_of(request.messages, request.tools), request.agent, demands

    def _prepared(self, request: Request) -> Request:
        """The request with its messages as the chat template can express them."""
        if self.expressible is None:
            return request
        messages = self.expressible.prepared(request.messages)
        return request if messages is request.messages else msgspec.structs.replace(request, messages=messages)

    @property
    def in_flight(self) -> int:
        """The number of calls that are being answered."""
        return len(self._running)

    def _ended(self, task: asyncio.Task[Reply]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BadRequest):
            self.fault = error

    async def _complete(self, request: Request, dialect: str, pending: PendingAnswer) -> Reply:
        async with self._slots:
            if self.stop is not None:
                raise Stopped(self.stop)
            constrain = getattr(self.model, "constrain", None)
            voice = self._voices.of(request.effort) if self._voices is not None else None
            grammar = None if constrain is None else constrain(request, voice)
            number, self._next = self._next, self._next + 1
            if number >= self.caps.calls:
                raise self._halt("turns", f"{self.caps.calls} model calls")
            try:
                request = self._prepared(request)
                prompt = self.tree.prompt(request.messages, request.tools, number, request.agent, voice)
            except TemplateError as error:
                raise BadRequest(str(error)) from None
            if self.model.chat is None:
                request = msgspec.structs.replace(request, written=self.tree.written(request.messages, prompt.node))
            started = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            call = Call(id=number, dialect=dialect, started_at=started, engine=self.model.name, asked=request.asked)
            pending.prompt_tokens = len(prompt.ids)
            under = _CallUnderWay(number, call, request, prompt, time.monotonic(), pending, grammar)
            try:
                answer = await self._generate(under)
                answer, decision = self._judged(under, answer)
            except BaseException as error:
                self._failed(under, error)
                raise
            reply = self._record(under, answer)
            if decision.kind == "stop":
                raise self._halt("stopped", decision.reason or "the hook ended it")
            return reply

    async def _generate(self, under: _CallUnderWay) -> Answer:
        params = self._params(under)
        under.call.sampling, under.call.logprob_temperature = recorded(params), params.temperature
        try:
            answer = await self._in_time(under, params)
        except TimeoutError:
            raise self._halt("time", f"{self.caps.seconds:g} s") from None
        except ContextOverflow as error:
            raise overflow(str(error)) from error
        except Denied as error:
            raise self._halt("engine", str(error)) from error
        except GrammarRefused as error:
            raise BadRequest(f"{demanding(under.request)}: {error}", code="unsupported_value") from error
        except EngineError as error:
            raise self._unavailable(error) from error
        except KatError as error:
            raise BadRequest(str(error)) from error
        if answer.finish_reason == "abort":
            raise self._unavailable("the engine gave the request up")
        self._failures = 0
        return answer

    async def _in_time(self, under: _CallUnderWay, params: SamplingParams) -> Answer:
        """The model's answer. TimeoutError when the rollout's time is over, EngineError when the call's is."""

        loop = asyncio.get_running_loop()
        watch: asyncio.Handle | None = None
        ends = time.monotonic() - self.gate.paused_seconds() + self.caps.call_seconds

        def look() -> None:
            nonlocal watch
            left = min(self._started + self.caps.seconds, ends) - (time.monotonic() - self.gate.paused_seconds())
            if left <= 0 and not self.gate.paused:
                limit.reschedule(loop.time())
            else:
                watch = loop.call_later(min(max(left, 0.01), LOOK_S), look)

        try:
            async with asyncio.timeout(None) as limit:
                look()
                async with self.gate:
                    told, seed = self._told(under), f"{self.id}:{under.number}"
                    return await self.model.answer(
                        under.prompt, under.request, params, under.number, seed, self.gate, told
                    )
        except TimeoutError:
            if limit.expired() and ends < self._started + self.caps.seconds:
                raise EngineError(f"no answer in {self.caps.call_seconds:g} s") from None
            raise
        finally:
            if watch is not None:
                watch.cancel()

    def _told(self, under: _CallUnderWay) -> Callable[[AnswerPart], None]:
        def told(part: AnswerPart) -> None:
            if under.call.first_token_s is None:
                under.call.first_token_s = round(time.monotonic() - under.began, 6)
            if self.hook is not None or under.request.stop or not under.request.stream:
                return  # nothing leaves before the whole has been looked at, or asked for
            nodes = self.tree.nodes[self._written :]
            self._written = len(self.tree.nodes)
            self.journal.append(
                Entry(
                    part_of=under.number,
                    prompt=under.prompt.node,
                    nodes=nodes,
                    token_ids=part.token_ids,
                    logprobs=part.logprobs,
                    versions=part.versions,
                )
            )
            under.pending.grow(part.reasoning, part.text)

        return told

    def _params(self, under: _CallUnderWay) -> SamplingParams:
        """The sampling parameters in force: ours, whatever the agent asks; its own token limit may only lower ours."""
        size, request = len(under.prompt.ids), under.request
        room, left = self.caps.context - size, self.caps.tokens - self.tokens
        if room < 1:
            raise overflow(f"{size} tokens > {self.caps.context} maximum")
        if left < 1:
            raise self._halt("tokens", f"{self.caps.tokens} tokens")
        if time.monotonic() - self.gate.paused_seconds() - self._started >= self.caps.seconds:
            raise self._halt("time", f"{self.caps.seconds:g} s")
        limit = min(room, left, self.caps.completion, request.max_tokens or self.caps.completion)
        seed = sampling_seed(request, self.seed, under.number, self.agent_sampling)
        stops = tuple(self.model.chat.stop_ids) if self.model.chat is not None else ()
        params = replace(self.sampling, max_new_tokens=limit, seed=seed, stop_token_ids=stops, grammar=under.grammar)
        return own_sampling(request, params) if self.agent_sampling else params

    def _halt(self, kind: str, detail: str) -> Stopped:
        self.stop = self.stop or Exit(kind=kind, detail=detail)
        return Stopped(self.stop)

    def _unavailable(self, reason: EngineError | str) -> BadRequest:
        self._failures += 1
        if self._failures >= self.caps.failures:
            return self._halt("engine", f"{self._failures} failures in a row, the last: {reason}")
        return Unavailable(reason)

    # ------------------------------------------------------------------ the hook

    def _judged(self, under: _CallUnderWay, answer: Answer) -> tuple[Answer, Decision]:
        """The answer that the agent gets. One that is replaced stays in the tree, set aside and without a target."""
        if self.hook is None:
            return answer, KEEP
        decision = self.hook(self.tree.path(under.prompt.node), answer.sampled.message)
        if decision.kind != "replace":
            return answer, decision
        assert decision.message is not None
        seed = f"{self.id}:{under.number}:replaced"
        instead = written(self.model.chat, decision.message, under.request, seed)
        aside = replace(answer.sampled, target=False)
        self.tree.completion(under.prompt, aside, under.number, lineage=self.tree.lineages.name("rejected"))
        self.tokens += len(answer.sampled.token_ids or [])
        self.metrics.add("replaced")
        placed: Sampled = replace(instead, origin="reference", target=False)
        return replace(answer, sampled=placed, finish_reason="stop"), decision

    # ------------------------------------------------------------------ recording

    def _record(self, under: _CallUnderWay, answer: Answer) -> Reply:
        sampled, call, prompt = answer.sampled, under.call, under.prompt
        node = self.tree.completion(prompt, sampled, call.id)
        counted = len(sampled.token_ids) if sampled.token_ids is not None else answer.completion_tokens
        asked = len(prompt.ids) if sampled.token_ids is not None else answer.prompt_tokens
        self.tokens += (counted or 0) if sampled.target else 0
        call.node = node.id
        call.seconds = round(time.monotonic() - under.began, 6)
        call.first_token_s = call.seconds if call.first_token_s is None else call.first_token_s
        usage = {"prompt_tokens": asked, "completion_tokens": counted, "cached_tokens": answer.cached_tokens}
        call.usage = {name: tokens for name, tokens in usage.items() if tokens is not None}  # endpoints may not say
        call.finish_reason = _finish(answer)
        call.retries = under.pending.retries
        under.pending.call = call
        under.pending.mark()
        self._write(under)
        self.metrics.answered(call)
        return Reply(
            id=under.pending.identity,
            message=sampled.message,
            finish_reason=call.finish_reason,
            prompt_tokens=asked or 0,
            completion_tokens=counted or 0,
            cached_tokens=answer.cached_tokens,
            stopped_by=answer.stopped_by,
        )

    def _failed(self, under: _CallUnderWay, error: BaseException) -> None:
        cancelled = isinstance(error, asyncio.CancelledError)
        under.call.seconds = round(time.monotonic() - under.began, 6)
        under.call.error = "cancelled" if cancelled else f"{type(error).__name__}: {error}"
        self._write(under)
        self.metrics.answered(under.call)

    def _write(self, under: _CallUnderWay) -> None:
        # All that is not in the journal yet: a parent may be the prompt of another call that is still in flight.
        self.calls.append(under.call)
        nodes = self.tree.nodes[self._written :]
        self._written = len(self.tree.nodes)
        self.journal.append(Entry(call=under.call, nodes=nodes, judged=under.prompt.judged, renamed=self._renamed()))

    # ------------------------------------------------------------------ ending

    def _settle(self) -> None:
        """Write down what only the end tells: which calls were a compaction's."""
        self.tree.lineages.settle()
        if renamed := self._renamed():
            self.journal.append(Entry(renamed=renamed))

    def _renamed(self) -> list[tuple[int, str, Boundary]]:
        found = [(n, self.tree.nodes[n].lineage, self.tree.nodes[n].boundary) for n in self.tree.lineages.renamed]
        self.tree.lineages.renamed.clear()
        return found

    async def finish(self, grace_s: float = GRACE_S) -> Trace:
        """Give calls in flight `grace_s` seconds to end, then cancel them; returns what was recorded."""
        running = set(self._running)
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._settle()
        return Trace(self.tree.nodes, sorted(self.calls, key=lambda call: call.id), self.stop)


def _finish(answer: Answer) -> str:
    if answer.finish_reason == "stop" and answer.sampled.message.get("tool_calls"):
        return "tool_calls"
    return answer.finish_reason


def cut_off(trace: Trace, said: Exit) -> Exit:
    """Why a rollout ended: what the gateway stopped it for, else what the agent says, unless its last word was cut.

    An agent that never asked its model says nothing of it, whatever it says: a program that is missing, a wrong table.
    """
    if trace.stop is not None:
        return trace.stop
    if not trace.calls and said.kind in ("submitted", "agent_error", "time"):
        return Exit(kind="agent_error", detail=": ".join(filter(None, (NEVER_CALLED, said.detail))))
    answered = [call for call in trace.calls if call.error is None]
    if said.kind == "submitted" and answered and answered[-1].finish_reason == "length":
        return Exit(kind="tokens", detail="the last answer was cut off")
    if said.kind == "agent_error" and trace.calls and trace.calls[-1].error:
        if trace.calls[-1].error.startswith(OVERFLOWED):
            return Exit(kind="context", detail=trace.calls[-1].error.removeprefix(OVERFLOWED))
        if trace.calls[-1].error.startswith(REFUSED):  # what the agent asked for, not what was to answer
            return Exit(kind=said.kind, detail=said.detail or trace.calls[-1].error)
        return Exit(kind="engine", detail=str(trace.calls[-1].error))
    return said
