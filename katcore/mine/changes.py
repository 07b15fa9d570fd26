"""Mine a git history: one `kat.change` a commit, streamed from a single git process.

In: a local repository or a URL, a range. Out: work items (one a commit, newest first), and `Changes`, which turns one
into a record. A merge is one change against its first parent; the base of a root commit is the empty tree. How the
record stays lossless says `patches.py`. Neither the user's git configuration nor the repository's matters. The oldest
commits of a shallow history are turned away, since their parents are not here.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from katcore.errors import InputError, KatError, RecordError, Rejected, UsageError
from katcore.git import Repository, last_line, open_repository, remember
from katcore.mine.assemble import parts
from katcore.mine.license import FILES, spdx
from katcore.mine.patches import DIFF_OPTIONS
from katcore.pool import Item
from katcore.records import Change, ChangeSource, Issue, content_id

# A NUL at the start of a line marks a commit: the lines of a patch start with a sign or a word of git's. The dot keeps
# a message that ends with a newline from looking like a mark.
_FORMAT = "--format=%x00%H%x00%P%x00%ct%x00%B.%x00"
_CHUNK = 1 << 20
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FIXES = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+(?:\w+://[^/\s]+/)?([\w.-]+/[\w.-]+)?(?:/issues/|#)(\d{1,9})\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Selection:
    """Which commits: a revision range (`v1..v2`, default HEAD), times, and whether merged branches are walked too."""

    range: str = "HEAD"
    since: str = ""
    until: str = ""
    first_parent: bool = False


@dataclass(frozen=True)
class Commit:
    """One commit with git's patch against its first parent."""

    repository: Repository
    license: str | None
    head: str
    parents: tuple[str, ...]
    time: int
    message: str
    patch: bytes

    @property
    def base(self) -> str:
        """The first parent, or the empty tree."""
        return self.parents[0] if self.parents else self.repository.empty_tree

    @property
    def id(self) -> str:
        """The id of the change."""
        return content_id(self.repository.name, self.base, self.head)


@dataclass(frozen=True)
class Changes:
    """Turn a commit into a change. Turned away: commits without a difference and, on demand, without tests."""

    with_tests: bool = False

    def __call__(self, item: Item) -> Iterator[Change]:
        """The change of one commit."""
        commit: Commit = item.payload
        if commit.head in commit.repository.shallow:
            raise Rejected("changes", "the parent is not in this shallow history", {"commit": commit.head})
        try:
            found = parts(commit.patch, lambda paths, binary: _redo(commit, paths, binary))
        except KatError as error:
            raise RecordError("changes", str(error)) from error
        if not found.files:
            raise Rejected("changes", "nothing differs", {"commit": commit.head})
        if self.with_tests and not found.test_patch:
            raise Rejected("changes", "no test changes", {"commit": commit.head})
        title, _, body = commit.message.strip("\n").partition("\n")
        yield Change(
            id=commit.id,
            repo=commit.repository.name,
            base_commit=commit.base,
            head_commit=commit.head,
            created_at=_rfc3339(commit.time),
            title=title.strip(),
            body=body.strip("\n"),
            issues=issues(commit.message, commit.repository.name),
            patch=found.patch,
            test_patch=found.test_patch,
            files=found.files,
            languages=found.languages,
            labels=found.labels,
            source=ChangeSource(kind="commit", url=commit.repository.url),
            license=commit.license,
        )


def commits(repositories: Iterable[str], selection: Selection = Selection()) -> Iterator[Item]:
    """Work items of all commits selected, repository by repository."""
    for where in repositories:
        repository = open_repository(where)
        remember(repository)
        tips = _resolve(repository, where, selection.range)
        license = license_at(repository, next(tip for tip in tips if not tip.startswith("^")))
        for frame in _log(repository, tips, selection):
            commit = _commit(repository, license, frame)
            yield Item(f"kat.change/1:{commit.id}", commit, shard=commit.id)


def _resolve(repository: Repository, where: str, revisions: str) -> list[str]:
    """Commit ids of a range, excluded ones with `^`; by the repository itself, since the view has no names."""
    words = revisions.split()
    if any(word.startswith("-") for word in words):
        raise UsageError(f"--range {revisions}: revisions only, no options")
    argv = ["git", f"--git-dir={repository.folder}", "rev-parse", "--revs-only", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    found = [line for line in done.stdout.split() if re.fullmatch(r"\^?[0-9a-f]{40,64}", line)]
    if done.returncode or len(found) < len(words):
        if revisions == "HEAD":
            raise InputError(f"{where}: has no commits")
        raise UsageError(f"{where}: no such revision: {revisions}")
    return found


def _log(repository: Repository, tips: list[str], selection: Selection) -> Iterator[bytes]:
    """One frame a commit, as soon as git has printed it; git ends with the reader."""
    argv = repository.command(
        "-c", "core.deltaBaseCacheLimit=256m", "log", _FORMAT, "--encoding=UTF-8", "--diff-merges=first-parent",
        *DIFF_OPTIONS,
    )  # fmt: skip
    argv += ["--first-parent"] if selection.first_parent else []
    argv += [f"--since={_moment(selection.since, 'T00:00:00Z')}"] if selection.since else []
    argv += [f"--until={_moment(selection.until, 'T23:59:59Z')}"] if selection.until else []
    with tempfile.TemporaryFile() as errors:
        git = subprocess.Popen(
            [*argv, *tips, "--"], stdout=subprocess.PIPE, stderr=errors, env=repository.environ(), bufsize=0
        )
        assert git.stdout is not None
        try:
            yield from _frames(git.stdout)
            if git.wait():
                errors.seek(0)
                raise KatError(f"git log: {last_line(errors.read()) or f'status {git.returncode}'}")
        finally:
            git.kill()
            git.stdout.close()
            git.wait()


def _moment(date: str, time: str) -> str:
    """A date alone is a whole day in UTC: git itself would take the present time of day."""
    return date + time if _DATE.fullmatch(date) else date


def _frames(stream: IO[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    while chunk := stream.read(_CHUNK):
        seen = max(len(rest) - 1, 0)
        rest += chunk
        start = 0
        while (end := rest.find(b"\n\0", max(seen, start))) >= 0:
            yield bytes(rest[start : end + 1])
            start = end + 1
        del rest[:start]
    if rest:
        yield bytes(rest)


def _commit(repository: Repository, license: str | None, frame: bytes) -> Commit:
    _, head, parents, time, message, patch = frame.split(b"\0", 5)
    return Commit(
        repository, license, head.decode(), tuple(parents.decode().split()), int(time or 0),
        message[:-1].decode("utf-8", "replace"), patch,
    )  # fmt: skip


def _redo(commit: Commit, paths: Iterable[bytes], binary: bool) -> bytes:
    return diff_again(commit.repository, commit.base, commit.head, list(paths), binary)


def diff_again(repository: Repository, base: str, head: str, paths: list[bytes], binary: bool) -> bytes:
    """The patch of single files, without renames; a part of the paths at a time, since a command line has a limit."""
    attributes = repository.view / "binary.attributes" if binary else "/dev/null"
    out = b""
    for start in range(0, len(paths), 500):
        names = [os.fsdecode(path) for path in paths[start : start + 500]]
        out += repository.git(
            "-c", f"core.attributesFile={attributes}", "diff-tree", *DIFF_OPTIONS, "--no-renames",
            base, head, "--", *names,
            env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
    return out


def _rfc3339(seconds: int) -> str:
    """UTC; times beyond the year 9999, which broken clocks write, are cut to it."""
    return datetime.fromtimestamp(min(max(seconds, 0), 253402300799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def issues(message: str, repo: str) -> list[Issue]:
    """Issues of this repository that a message says it closes (GitHub's keywords): numbers only."""
    numbers = [int(n) for where, n in _FIXES.findall(message) if not where or where.lower() == repo.lower()]
    return [Issue(number=number) for number in dict.fromkeys(numbers)]


def license_at(repository: Repository, commit: str) -> str | None:
    """The project's licence at a commit."""
    listed = repository.git("ls-tree", "-z", commit).split(b"\0")
    found: dict[str, bytes] = {}
    for entry in listed:
        meta, _, name = entry.partition(b"\t")
        text = name.decode("utf-8", "replace")
        if FILES.fullmatch(text) and meta.split()[1] == b"blob":
            found[text] = repository.git("cat-file", "blob", meta.split()[2].decode())
    return spdx(found)
