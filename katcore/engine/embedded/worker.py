"""The one thread that owns the model of the embedded engine: continuous batching, aborts, pauses, weight swaps.

In: sequences and commands, from any thread. Out: after each step, in one call, the sequences that ended and those with
new tokens for a stream. Requests join and leave between two decoding steps. Prefills run one at a time over the longest
known prefix.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from katcore.engine.embedded import weights
from katcore.engine.embedded.cache import BatchCache, Layers
from katcore.engine.embedded.grammar import Matcher
from katcore.engine.embedded.model import Model, Prefilled
from katcore.engine.embedded.prefixes import PrefixStore
from katcore.engine.embedded.sampling import Draw, constrained, sample
from katcore.engine.embedded.stop import StopStrings
from katcore.errors import InputError, KatError

_TIDY = 2.0
"""Steps' worth of work for empty slots after which the batch is made smaller, which costs about as much."""
MEMORY = ("kv_cache", "weights")
"""What can be released; everything, where nothing is named."""


@dataclass
class Sequence:
    """One completion in the making. `versions` are [start, weight version] over `output`.

    `scores`: log-probs of the prompt's tokens behind `score_from`. `matched`: the id or text that stopped it. `finish`
    is set last: whoever sees it sees everything. `version`: the weights that read the prompt. `told` is for whoever is
    given the news (`Worker.tell`): of every step if it is `streamed`, else of the end. `allowed` are the tokens [V]
    that the `grammar` lets follow; both know the output, so that they go on when its KV is computed anew.
    """

    rid: str
    prompt: list[int]
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    max_new_tokens: int
    stop_ids: frozenset[int]
    seed: int
    number: int
    told: Callable[[Sequence], None]
    streamed: bool = False
    stop: StopStrings | None = None
    grammar: Matcher | None = None
    allowed: Tensor | None = None
    score_from: int | None = None
    scores: list[float] = field(default_factory=list)
    version: str = ""
    matched: int | str = ""
    output: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[tuple[int, str]] = field(default_factory=list)
    cached: int | None = None
    finish: str = ""
    error: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.output

    def draw(self) -> Draw:
        """How the next token is picked."""
        key = (self.seed, self.number, len(self.output))
        return Draw(self.temperature, self.top_p, self.top_k, self.min_p, *key)

    def __post_init__(self) -> None:
        if self.grammar is not None:
            self.allowed = self.grammar.allowed()

    def append(self, token: int, logprob: float, version: str) -> None:
        """One more token; sets `finish` when it was the last."""
        if not self.versions or self.versions[-1][1] != version:
            self.versions.append((len(self.output), version))
        self.output.append(token)
        self.logprobs.append(logprob)
        text = self.stop.found(self.output) if self.stop else ""
        if token in self.stop_ids or text:
            self.matched = token if token in self.stop_ids else text
            self.finish = "stop"
        elif self.grammar is not None and self._ended(self.grammar, token):
            self.matched = token
            self.finish = "abort" if self.error else "stop"
        elif len(self.output) >= self.max_new_tokens:
            self.finish = "length"

    def _ended(self, grammar: Matcher, token: int) -> bool:
        """Whether nothing may follow the token; then with an `error`, unless the grammar ends there."""
        try:
            grammar.accept(token)
            self.allowed = None if grammar.ended else grammar.allowed()
        except ValueError as reason:
            self.error, self.allowed = str(reason), None
        return self.allowed is None


class Worker:
    """Runs sequences over one model. All public methods may be called from any thread."""

    def __init__(
        self,
        model: Model,
        tell: Callable[[list[Sequence]], None],
        *,
        version: str = "default",
        max_running: int = 32,
        cache_bytes: int = 1 << 30,
    ) -> None:
        """`tell` is called from the worker's thread, with sequences that have news."""
        self.model = model
        self.version = version
        self.max_running = max_running
        self._tell = tell
        self._news: list[Sequence] = []
        self._slots: list[Sequence | None] = []
        self._waste = 0.0
        self.waiting: deque[Sequence] = deque()
        self.steps = 0
        self._store = PrefixStore(cache_bytes)
        self._batch = BatchCache(model.layers, model.device)
        self._commands: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._wake = threading.Condition()
        self._paused = False
        self._released: set[str] = set()
        self._parked: weights.Parked | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kat-embedded-engine", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------------------------------- from any thread

    def alive(self) -> bool:
        """Whether the worker still takes sequences."""
        return self._thread.is_alive() and not self._closing

    def submit(self, sequence: Sequence) -> None:
        """Queue one sequence."""
        self._command(lambda: self.waiting.append(sequence))

    def abort(self, rid: str | None) -> Future[None]:
        """End the sequences of one request, or all; what they have so far is theirs."""
        return self._command(lambda: self._abort(rid))

    def pause(self, mode: str) -> Future[None]:
        """`in_place` keeps everything, `retract` drops the KV of what runs (it is recomputed), `abort` ends all."""
        return self._command(lambda: self._pause(mode))

    def resume(self) -> Future[None]:
        """Go on generating."""
        return self._command(lambda: setattr(self, "_paused", False))

    def flush(self) -> Future[None]:
        """Forget all prefixes; what runs goes on."""
        return self._command(self._store.clear)

    def swap(self, folder: str, version: str, flush: bool) -> Future[None]:
        """Load other weights between two steps; InputError in the future, and the old ones go on, when they do not fit.

        With `flush` running rows recompute their KV, so that every log-prob is that of its own version alone.
        """
        return self._command(lambda: self._swap(folder, version, flush))

    def load(self, tensors: Mapping[str, Tensor], version: str, flush: bool) -> Future[None]:
        """Like `swap`, from tensors: all of the model's, or InputError in the future and none is changed."""
        return self._command(lambda: self._load(tensors, version, flush))

    def release(self, tags: tuple[str, ...] = MEMORY) -> Future[None]:
        """Give memory away (`kv_cache`, `weights`); what runs or comes waits until all of it is `restore`d."""
        return self._command(lambda: self._release(tags))

    def restore(self, tags: tuple[str, ...] = MEMORY) -> Future[None]:
        """Take memory back: the weights as they were, the KV computed anew."""
        return self._command(lambda: self._restore(tags))

    @property
    def held(self) -> bool:
        """Whether it is paused, or its memory is away."""
        return self._paused or bool(self._released)

    def close(self) -> None:
        """Abort everything and end the thread."""
        self.abort(None)
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _command(self, command: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()
        with self._wake:
            self._commands.append((command, done))
            self._wake.notify()
        return done

    @property
    def running(self) -> list[Sequence]:
        """The sequences in the batch."""
        return [row for row in self._slots if row is not None]

    # ------------------------------------------------------------------------------------- in the worker thread

    def _run(self) -> None:
        with torch.inference_mode():
            while self._next():
                try:
                    self._step()
                except (RuntimeError, IndexError, ValueError) as reason:  # out of memory, a model's own complaint
                    self._fail(str(reason))
                self._tell_news()

    def _next(self) -> bool:
        """Wait for something to do and take commands; False when it is over."""
        with self._wake:
            while not (self._commands or self._closing or (not self.held and (any(self._slots) or self.waiting))):
                self._wake.wait()
            commands, self._commands = self._commands, deque()
        for command, done in commands:
            if not done.set_running_or_notify_cancel():  # whoever asked has gone
                continue
            try:
                command()
            except KatError as reason:
                done.set_exception(reason)
            else:
                done.set_result(None)
        self._tell_news()
        return not self._closing

    def _tell_news(self) -> None:
        if self._news:
            news, self._news = self._news, []
            self._tell(news)

    def _step(self) -> None:
        if self.held:
            return
        self._admit()
        if any(self._slots):
            self._decode()

    def _admit(self) -> None:
        """Prefill what waits, sample its first token, and let what is not finished join the batch."""
        joining: list[tuple[Sequence, Layers]] = []
        room = self.max_running - len(self.running)
        while self.waiting and len(joining) < room:
            sequence = self.waiting[0]
            read = self._read(sequence)
            if sequence.max_new_tokens == 0:
                sequence.finish = "length"
            else:
                ids, logprobs = sample(_masked(read.logits[None], [sequence]), [sequence.draw()])
                sequence.append(ids[0], logprobs[0], self.version)
            self.waiting.popleft()
            if not sequence.finish:
                joining.append((sequence, read.layers))
            if sequence.finish or sequence.streamed:
                self._news.append(sequence)
        if joining:
            for (sequence, _), slot in zip(joining, self._batch.join([layers for _, layers in joining])):
                self._slots += [None] * (slot + 1 - len(self._slots))
                self._slots[slot] = sequence

    def _read(self, sequence: Sequence) -> Prefilled:
        """Prefill over the longest known prefix; tokens to be scored are not taken from it."""
        score_from = None if sequence.version else sequence.score_from  # after a retraction they are scored already
        tokens = sequence.tokens
        shared, known = self._store.longest(tokens[:-1] if score_from is None else tokens[:score_from])
        read = self.model.prefill(tokens, known, score_from)
        self._store.put(tokens, read.layers)
        if not sequence.version:
            sequence.cached, sequence.scores, sequence.version = shared, read.scores, self.version
        return read

    def _decode(self) -> None:
        """One token for every running row; empty slots take part for nothing."""
        slots, device = self._slots, self.model.device
        last = torch.tensor([[row.output[-1] if row else 0] for row in slots], device=device)
        at = [[len(row.prompt) + len(row.output) - 1 if row else 0] for row in slots]
        logits = self.model.forward(last, torch.tensor(at, device=device), self._batch.step_mask(), self._batch.cache)
        rows = self.running
        if len(rows) < len(slots):
            logits = logits[[slot for slot, row in enumerate(slots) if row]]
            self._waste += 1 - len(rows) / len(slots)
        for row, token, logprob in zip(rows, *sample(_masked(logits, rows), [row.draw() for row in rows])):
            row.append(token, logprob, self.version)
        self.steps += 1
        self._news += [row for row in rows if row.streamed and not row.finish]
        self._retire()

    def _retire(self) -> None:
        """Finished rows leave the batch; their KV stays as a prefix for the next turn."""
        for slot, row in enumerate(self._slots):
            if row is None or not row.finish:
                continue
            if row.finish != "abort":
                self._store.put(row.tokens[:-1], self._batch.row(slot))
            self._batch.leave(slot)
            self._slots[slot] = None
            self._news.append(row)
        if self._waste > _TIDY or not any(self._slots):
            kept = [slot for slot, row in enumerate(self._slots) if row is not None]
            self._batch.keep(kept)
            self._slots = [self._slots[slot] for slot in kept]
            self._waste = 0.0

    def _abort(self, rid: str | None) -> None:
        for row in [row for row in (*self.waiting, *self.running) if rid is None or row.rid == rid]:
            row.finish = "abort"
        gone = [row for row in self.waiting if row.finish]
        self.waiting = deque(row for row in self.waiting if not row.finish)
        self._retire()
        self._news += gone

    def _pause(self, mode: str) -> None:
        self._paused = True
        if mode == "abort":
            self._abort(None)
        elif mode == "retract":
            self._retract()

    def _retract(self) -> None:
        """Put what runs back to the head of the queue; it goes on from its tokens with KV computed anew."""
        self.waiting.extendleft(reversed(self.running))
        self._empty()

    def _swap(self, folder: str, version: str, flush: bool) -> None:
        # Loaded here and not in the caller's thread: while it loads, transformers changes torch's default dtype.
        with torch.inference_mode(False):
            model = self.model.successor(folder)
        if self._parked is not None:  # those that were put away are of no use any more
            self._parked.drop()
            self._parked = None
            self._released.discard("weights")
        self.model = model
        self._renew(version, flush)

    def _load(self, tensors: Mapping[str, Tensor], version: str, flush: bool) -> None:
        if self._parked is not None:
            raise InputError("the weights are released: resume them first")
        weights.check(self.model.network, tensors)
        with torch.inference_mode(False), torch.no_grad():
            weights.overwrite(self.model.network, tensors)
        self._renew(version, flush)

    def _renew(self, version: str, flush: bool) -> None:
        self.version = version
        if flush:
            self._store.clear()
            self._retract()

    def _release(self, tags: tuple[str, ...]) -> None:
        if "kv_cache" in tags:
            self._store.clear()
            self._retract()
        if "weights" in tags and self._parked is None:
            with torch.inference_mode(False), torch.no_grad():
                self._parked = weights.Parked(self.model.network)
        self._released |= set(tags)

    def _restore(self, tags: tuple[str, ...]) -> None:
        if "weights" in tags and self._parked is not None:
            with torch.inference_mode(False), torch.no_grad():
                self._parked.put_back()
            self._parked = None
        self._released -= set(tags)

    def _fail(self, reason: str) -> None:
        """The step broke: nobody knows the state of the batch, so everything in it ends with the reason."""
        rows = [*self.running, *self.waiting]
        self.waiting = deque()
        self._store.clear()
        self._empty()
        for row in rows:
            row.error = reason
            row.finish = "abort"
        self._news += rows

    def _empty(self) -> None:
        self._slots, self._waste = [], 0.0
        self._batch = BatchCache(self.model.layers, self.model.device)


def _masked(logits: Tensor, rows: list[Sequence]) -> Tensor:
    """Logits [B, V] of rows, without what their grammars do not allow."""
    return constrained(logits, {at: row.allowed for at, row in enumerate(rows) if row.allowed is not None})
