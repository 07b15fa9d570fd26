"""The raw connections that a Docker engine turns an API call into: one process's streams, or a container's.

In: what the SDK returns for `exec_start(socket=True)` and `attach_socket`. Out: bytes, as they come, with deadlines;
the SDK itself has none. The engine sends frames: a stream's number, a length, the bytes (docs: "Attach to a
container").
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_CHUNK = 1 << 16
_HEADER = 8


class Stream:
    """One connection, after the engine has upgraded it."""

    def __init__(self, raw: Any, stdin: bytes | None = None) -> None:
        self.input = None if stdin is None else memoryview(stdin)
        self._raw = raw  # keeps the SDK's response alive, which would close the connection
        self.socket: Any = getattr(raw, "_sock", raw)
        response = getattr(raw, "_response", None)
        self.socket.setblocking(False)
        self._early = _read_ahead(response)
        self._frames = bytearray()

    def frames(self) -> list[tuple[int, bytes]] | None:
        """What has arrived, as (stream number, bytes), where 1 is standard output and 2 standard error.

        None when the other side has closed, an empty list when nothing is there yet.
        """
        chunk = self._receive()
        if chunk is None:
            return []
        if not chunk:
            return None
        self._frames += chunk
        found = []
        while len(self._frames) >= _HEADER:
            size = int.from_bytes(self._frames[4:_HEADER], "big")
            part = bytes(self._frames[_HEADER : _HEADER + size])
            if len(part) < size and len(part) < _CHUNK:
                break
            if len(part) < size:  # pass on what is there of a long frame
                left = size - len(part)
                found.append((self._frames[0], part))
                self._frames = bytearray(bytes(self._frames[:4]) + left.to_bytes(4, "big"))
                continue
            found.append((self._frames[0], part))
            del self._frames[: _HEADER + size]
        return found

    def _receive(self) -> bytes | None:
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            return bytes(self.socket.recv(_CHUNK))
        except (BlockingIOError, InterruptedError):
            return None
        except (ConnectionError, OSError):
            return b""

    @property
    def waiting(self) -> bool:
        """Whether bytes are buffered here, of which a selector does not tell."""
        pending = getattr(self.socket, "pending", None)
        return bool(self._early) or bool(pending and pending())

    def send(self, data: memoryview) -> int:
        """Send what fits; returns how many bytes. BrokenPipeError when the other side no longer reads."""
        try:
            return int(self.socket.send(data[:_CHUNK]))
        except (BlockingIOError, InterruptedError):
            return 0
        except (ConnectionError, OSError) as error:
            raise BrokenPipeError from error

    def feed(self) -> None:
        """Send what fits of the process's standard input, then its end; one that does not read it is no error."""
        if self.input is None:
            return
        try:
            self.input = self.input[self.send(self.input) :] if self.input else self.input
        except BrokenPipeError:
            self.input = self.input[:0]
        if not self.input:
            self.input = None
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, which cannot carry another call."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self.socket.close()
        response = getattr(self._raw, "_response", None)
        if response is not None:
            response.close()


def pump(stream: Stream, sink: Callable[[int, bytes], None], deadline: float, stop: int | None = None) -> bool:
    """Move bytes until the other side closes. False when the deadline, or `stop` becoming readable, came first."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream.socket, _events(stream))
        if stop is not None:
            selector.register(stop, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            ready = selector.select(0 if stream.waiting else left)
            if any(key.fd == stop for key, _ in ready):
                return False
            if any(events & selectors.EVENT_WRITE for _, events in ready):
                stream.feed()
                selector.modify(stream.socket, _events(stream))
            if stream.waiting or any(events & selectors.EVENT_READ for _, events in ready):
                arrived = stream.frames()
                if arrived is None:
                    return True
                for number, part in arrived:
                    sink(number, part)


def _events(stream: Stream) -> int:
    return selectors.EVENT_READ | (0 if stream.input is None else selectors.EVENT_WRITE)


def expect(stream: Stream, wanted: bytes, timeout_s: float) -> bool:
    """Wait for an answer of that byte on standard output; False when the other side closed or said nothing."""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(stream.socket, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not stream.waiting and not selector.select(left):
                return False
            arrived = stream.frames()
            if arrived is None:
                return False
            if any(number == 1 and wanted in part for number, part in arrived):
                return True
    return False


def _read_ahead(response: Any) -> bytes:
    """Bytes that the HTTP client read past the headers; the SDK leaves them in its buffer, where they would be lost."""
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if reader is None or not hasattr(reader, "peek"):
        return b""
    with suppress(BlockingIOError, OSError, ValueError):
        return bytes(reader.read(len(reader.peek(1))) or b"")
    return b""
