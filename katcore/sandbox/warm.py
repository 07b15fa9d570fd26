"""Boxes that are started ahead: work that asks for the same box again and again finds one ready.

In: a kind of sandbox whose boxes take long to start. Out: the same kind, box for box: each is new and is given out
once. A thread that asks for equal boxes twice in a row will most likely do so again, so the next one is started while
it uses this one: never more than one waits per thread. A box that died while it waited is replaced; one that another
spec follows, that nobody takes for a while, or whose thread has ended is closed. As of all boxes nothing is left of one
that waits when its runner is killed.
"""

from __future__ import annotations

import atexit
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from katcore.errors import SandboxError
from katcore.sandbox import Box, Sandbox, Spec

SLOW = frozenset({"docker"})
"""Kinds whose boxes start so slowly that starting ahead pays; bubblewrap's takes a few milliseconds."""
IDLE_S = 60.0
"""Seconds for which a box waits for its thread to come back."""
STARTERS = 32
"""The most boxes, of all threads, that are started or closed at the same time in the background."""


@dataclass(frozen=True)
class _Ahead:
    """A box that is being started ahead, or waits for its thread."""

    spec: Spec
    box: Future[Box]
    expiry: threading.Timer


class Warm:
    """A sandbox that starts the next box ahead. `create` may be called from several threads."""

    def __init__(self, boxes: Sandbox, idle_s: float = IDLE_S) -> None:
        self._boxes = boxes
        self._idle_s = idle_s
        self._starters = ThreadPoolExecutor(STARTERS, thread_name_prefix="warm-box")
        self._lock = threading.Lock()
        self._last: WeakKeyDictionary[threading.Thread, Spec] = WeakKeyDictionary()
        self._waiting: dict[threading.Thread, _Ahead] = {}
        self._closed = False
        atexit.register(self._leave, os.getpid())

    @property
    def name(self) -> str:
        """The whole name of the sandbox."""
        return self._boxes.name

    def check(self) -> None:
        """Raise SandboxError with one clear line when this machine cannot run such boxes."""
        self._boxes.check()

    def create(self, spec: Spec) -> Box:
        """An unused box of this description: the one that waits for this thread, if it fits, or a new one."""
        me = threading.current_thread()
        with self._lock:
            again = self._last.get(me) == spec
            self._last[me] = spec
            ahead = self._waiting.pop(me, None)
        self._drop_orphans()
        box = self._taken(ahead, spec) or self._boxes.create(spec)
        if again and _plain(spec):
            self._start(me, spec)
        return box

    def close(self) -> None:
        """Close every box that waits, and start no more ahead."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = list(self._waiting.values()), {}
        for ahead in waiting:
            ahead.expiry.cancel()
            _close(ahead.box)
        self._starters.shutdown()

    def _taken(self, ahead: _Ahead | None, spec: Spec) -> Box | None:
        """The waiting box, if it fits the description and is alive; else None."""
        if ahead is None:
            return None
        ahead.expiry.cancel()
        if ahead.spec != spec:
            self._drop(ahead)
            return None
        try:
            box = ahead.box.result()
        except SandboxError:
            return None  # what is wrong is told by the next start, or it is over
        if box.status() == "ready":
            return box
        _close(ahead.box)
        return None

    def _start(self, thread: threading.Thread, spec: Spec) -> None:
        with self._lock:
            if self._closed:
                return
            expiry = threading.Timer(self._idle_s, self._expire, (thread,))
            expiry.daemon = True
            ahead = _Ahead(spec, self._starters.submit(self._boxes.create, spec), expiry)
            self._waiting[thread] = ahead
            expiry.start()

    def _expire(self, thread: threading.Thread) -> None:
        """Close the box that waited in vain for its thread."""
        with self._lock:
            ahead = self._waiting.get(thread)
            if ahead is None or ahead.expiry is not threading.current_thread():
                return  # taken meanwhile; there may be another one
            del self._waiting[thread]
        _close(ahead.box)

    def _drop_orphans(self) -> None:
        with self._lock:
            ended = [thread for thread in self._waiting if not thread.is_alive()]
            orphans = [self._waiting.pop(thread) for thread in ended]
        for ahead in orphans:
            ahead.expiry.cancel()
            self._drop(ahead)

    def _drop(self, ahead: _Ahead) -> None:
        """Close a box in the background."""
        with self._lock:
            if not self._closed:
                self._starters.submit(_close, ahead.box)
                return
        _close(ahead.box)

    def _leave(self, pid: int) -> None:
        """At exit, close all boxes; a forked child, which has its parent's exit handlers, leaves them alone."""
        if os.getpid() == pid:
            self.close()


def warm(boxes: Sandbox) -> Sandbox:
    """The sandbox with its boxes started ahead, where that pays."""
    return Warm(boxes) if boxes.name.partition(":")[0] in SLOW else boxes


def _plain(spec: Spec) -> bool:
    """Whether a box of this spec touches nothing outside before it is used."""
    return not (spec.network or spec.socket or any(mount.writable for mount in spec.mounts))


def _close(started: Future[Box]) -> None:
    if started.cancel():
        return
    try:
        started.result().close()
    except SandboxError:
        return  # it never was, or the engine is gone, and then the box with it
