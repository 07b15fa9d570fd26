"""The commits of a repository with their patches, streamed in the order of `git rev-list`, newest first.

In: a repository, revisions, times. Out: one `Commit` each, as soon as git has printed it. `git rev-list` names the
commits; a few `git diff-tree --stdin` share the work in chunks, because one process spends its time in finding
differences and a machine has more than one core. All of them end with the reader.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from types import TracebackType
from typing import IO

from katcore.errors import KatError
from katcore.mine.patches import DIFF_OPTIONS
from katcore.source.git import Repository

CHUNK = 32
"""How many commits a git process gets at a time: few enough that their patches mostly fit into its pipe."""

PROCESSES = max(1, min(4, len(os.sched_getaffinity(0))))

# A NUL at the start of a line marks a commit: the lines of a patch start with a sign or a word of git's. The dot keeps
# a message that ends with a newline from looking like a mark. Git echoes a line that is no commit: a chunk's end.
_FORMAT = "--format=%x00%H%x00%P%x00%ct%x00%B.%x00"
_END = b"\x01\n"
_PIPE = 1 << 20
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Selection:
    """Selects commits by revision range (`v1..v2`), by time, and with or without merged branches."""

    range: str
    since: str = ""
    until: str = ""
    first_parent: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with git's patch against its first parent. `cut`: the parent is not in this shallow history."""

    head: str
    parents: tuple[str, ...] = ()
    time: int = 0
    message: str = ""
    patch: bytes = b""
    cut: bool = False


def history(repository: Repository, tips: list[str], selection: Selection) -> Iterator[Commit]:
    """All commits that the tips reach and the excluded ones (`^ID`) do not."""
    waiting: deque[tuple[_Differ, list[str]]] = deque()
    with contextlib.ExitStack() as stack:
        names = _names(stack, repository, tips, selection)
        differs: list[_Differ] = []
        for number in count():
            if not (chunk := list(islice(names, CHUNK))):
                break
            if len(differs) < PROCESSES:
                differs.append(stack.enter_context(_Differ(repository)))
            elif len(waiting) >= 2 * PROCESSES:  # one chunk in work and one in hand, so that no process waits for us
                yield from _read(repository, *waiting.popleft())
            differ = differs[number % PROCESSES]
            differ.feed([name for name in chunk if name not in repository.shallow])
            waiting.append((differ, chunk))
        while waiting:
            yield from _read(repository, *waiting.popleft())


def _read(repository: Repository, differ: _Differ, chunk: list[str]) -> Iterator[Commit]:
    frames = differ.frames(sum(name not in repository.shallow for name in chunk))
    for name in chunk:
        yield Commit(name, cut=True) if name in repository.shallow else _commit(next(frames))
    next(frames, None)


def _commit(frame: bytes) -> Commit:
    _, head, parents, time, message, patch = frame.split(b"\0", 5)
    text = message[:-1].decode("utf-8", "replace")
    return Commit(head.decode(), tuple(parents.decode().split()), int(time or 0), text, patch)


def _names(stack: contextlib.ExitStack, repository: Repository, tips: list[str], selection: Selection) -> Iterator[str]:
    argv = ["rev-list", *(["--first-parent"] if selection.first_parent else [])]
    argv += [f"--since={_moment(selection.since, 'T00:00:00Z')}"] if selection.since else []
    argv += [f"--until={_moment(selection.until, 'T23:59:59Z')}"] if selection.until else []
    git = stack.enter_context(_Git(repository, *argv, *tips, "--"))
    for line in git.stdout:
        yield line.decode().strip()
    git.finish()


def _moment(date: str, time: str) -> str:
    """A date for git; one without a time gets `time` in UTC, where git itself would take the present time of day."""
    return date + time if _DATE.fullmatch(date) else date


class _Git:
    """A git process that reads a repository through its view, and that ends with this context."""

    def __init__(self, repository: Repository, *args: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._repository = repository
        self._process = repository.start(*args, errors=self._errors)
        assert self._process.stdin and self._process.stdout
        self.stdin: IO[bytes] = self._process.stdin
        self.stdout: IO[bytes] = self._process.stdout

    def __enter__(self) -> _Git:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()
        self.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()

    def finish(self) -> None:
        """Raise what git complained about."""
        if self._process.wait():
            self._errors.seek(0)
            raise self._repository.unreadable(self._errors.read(), self._process.returncode)


class _Differ(_Git):
    """A `git diff-tree` that prints the patches of the commits that it is fed."""

    def __init__(self, repository: Repository) -> None:
        args = ("--stdin", "--root", "--always", "--encoding=UTF-8", "--diff-merges=first-parent", *DIFF_OPTIONS)
        super().__init__(repository, "diff-tree", _FORMAT, *args)
        with contextlib.suppress(OSError):  # a limit of the system; only speed depends on it
            fcntl.fcntl(self.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
        self._rest = bytearray()

    def __enter__(self) -> _Differ:
        return self

    def feed(self, names: list[str]) -> None:
        """Ask for the patches of a chunk. At most 64 KiB, which a pipe takes without anybody reading."""
        self.stdin.write("".join(f"{name}\n" for name in names).encode() + _END)
        self.stdin.flush()

    def frames(self, number: int) -> Iterator[bytes]:
        """The patches of the chunk that was fed first, with their headers."""
        start = 0
        for left in range(number, 0, -1):
            end = self._find(b"\n\0", start) if left > 1 else self._find(b"\n" + _END, self._after_header(start))
            yield bytes(memoryview(self._rest)[start : end + 1])
            start = end + 1
        self._find(_END, start)
        del self._rest[: start + len(_END)]

    def _after_header(self, start: int) -> int:
        """The place behind a commit's message, which may contain anything but NUL."""
        for _ in range(5):
            start = self._find(b"\0", start) + 1
        return start

    def _find(self, mark: bytes, start: int) -> int:
        while (found := self._rest.find(mark, start)) < 0:
            start = max(start, len(self._rest) - len(mark) + 1)
            more = os.read(self.stdout.fileno(), _PIPE)
            if not more:
                self.finish()
                raise KatError(f"{self._repository.where}: git diff-tree ended early")
            self._rest += more
        return found
