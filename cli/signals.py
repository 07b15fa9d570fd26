"""What a signal does to a command: it ends in order, and within seconds whatever it is doing.

SIGINT, SIGTERM and SIGHUP raise in the main thread, where the command then lets go of its work. What that cannot do in
`ORDERLY_S` seconds, because a disk, an engine or a cluster does not answer, is left to what is there for `kill -9`:
journals for `--resume`, the reaper for boxes. Signals that come meanwhile change nothing.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

ORDERLY_S = 3.0
"""Seconds for an orderly end."""
WORDS_S = 0.2
"""Seconds for the last words of an end that is not."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Endings:
    """The signals that end this process. `last_words` is called with the exit code where the end is not orderly."""

    def __init__(self) -> None:
        self.last_words: Callable[[int], None] = lambda code: None
        self._ending = False
        self._caught = _thread.allocate_lock()

    def catch(self) -> None:
        """Take the signals over, but for those that somebody else has chosen to ignore or to handle."""
        for number in ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._end)

    def caught(self) -> None:
        """The signal was a wish to go on with something else, such as what a service writes in the end."""
        if self._ending:
            self._ending = False
            self._caught.release()

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._ending:
            return
        self._ending = True
        self._caught = _thread.allocate_lock()
        self._caught.acquire()
        # not threading's: the main thread may hold its locks at this moment
        _thread.start_new_thread(self._watch, (self._caught, 128 + number))
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    def _watch(self, caught: _thread.LockType, code: int) -> None:
        if not caught.acquire(timeout=ORDERLY_S):
            _thread.start_new_thread(self.last_words, (code,))  # which nobody may be reading
            time.sleep(WORDS_S)
            os._exit(code)


ENDINGS = Endings()
