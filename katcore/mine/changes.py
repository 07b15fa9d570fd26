"""Mine a git history: one `kat.change` a commit, as a stream.

In: a local repository or a URL, a range. Out: work items (one a commit, newest first), and `Changes`, which turns one
into a record. A merge is one change against its first parent; the base of a root commit is the empty tree. How the
record stays lossless says `patches.py`. Neither the user's git configuration nor the repository's matters. The oldest
commits of a shallow history are turned away, since their parents are not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from katcore.errors import InputError, KatError, RecordError, Rejected, UsageError
from katcore.mine.assemble import parts
from katcore.mine.history import Commit, Selection, history
from katcore.mine.license import FILES, spdx
from katcore.mine.patches import diff_again
from katcore.pool import Item
from katcore.records import Change, ChangeSource, Issue, content_id, item_key
from katcore.source.git import Repository, git, no_commits, open_repository, remember

_FIXES = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+(?:\w+://[^/\s]+/)?([\w.-]+/[\w.-]+)?(?:/issues/|#)(\d{1,9})\b",
    re.IGNORECASE,
)


ALL = Selection("HEAD")


@dataclass(frozen=True)
class Mined:
    """One commit of a repository, and what the record needs besides."""

    repository: Repository
    license: str | None
    commit: Commit

    @property
    def base(self) -> str:
        """The first parent, or the empty tree."""
        return self.commit.parents[0] if self.commit.parents else self.repository.empty_tree


@dataclass(frozen=True)
class Changes:
    """Turns commits into changes. Commits without a difference are turned away, and on demand those without tests."""

    with_tests: bool = False

    def __call__(self, item: Item) -> Iterator[Change]:
        """The change of one commit."""
        mined: Mined = item.payload
        commit, repository = mined.commit, mined.repository
        if commit.cut:
            raise Rejected("changes", "the parent is not in this shallow history", {"commit": commit.head})
        try:
            found = parts(commit.patch, partial(diff_again, repository, mined.base, commit.head))
        except KatError as error:
            raise RecordError("changes", str(error)) from error
        if not found.files:
            raise Rejected("changes", "nothing differs", {"commit": commit.head})
        if self.with_tests and not found.test_patch:
            raise Rejected("changes", "no test changes", {"commit": commit.head})
        title, _, body = commit.message.strip("\n").partition("\n")
        yield Change(
            id=item.key.rpartition(":")[2],
            repo=repository.name,
            base_commit=mined.base,
            head_commit=commit.head,
            created_at=_rfc3339(commit.time),
            title=title.strip(),
            body=body.strip("\n"),
            issues=issues(commit.message, repository.name),
            patch=found.patch,
            test_patch=found.test_patch,
            files=found.files,
            languages=found.languages,
            labels=found.labels,
            source=ChangeSource(kind="commit", url=repository.url),
            license=mined.license,
        )


def commits(repositories: Iterable[str], selection: Selection = ALL) -> Iterator[Item]:
    """Work items of all commits selected, repository by repository."""
    for where in repositories:
        repository = open_repository(where)
        remember(repository)
        tips = _resolve(repository, where, selection.range)
        license = license_at(repository, next(tip for tip in tips if not tip.startswith("^")))
        for commit in history(repository, tips, selection):
            mined = Mined(repository, license, commit)
            id = content_id(repository.name, mined.base, commit.head)
            yield Item(item_key(Change, id), mined, shard=id)


def _resolve(repository: Repository, where: str, revisions: str) -> list[str]:
    """Commit ids of a range, excluded ones with `^`; by the repository itself, since the view has no names."""
    words = revisions.split()
    if any(word.startswith("-") for word in words):
        raise UsageError(f"--range {revisions}: revisions only, no options")
    try:
        out = git(f"--git-dir={repository.folder}", "rev-parse", "--revs-only", *words, where=where)
    except KatError:
        out = b""
    found = [line for line in out.decode("ascii", "replace").split() if re.fullmatch(r"\^?[0-9a-f]{40,64}", line)]
    if len(found) < max(1, len(words)) or all(line.startswith("^") for line in found):
        if revisions == "HEAD":
            raise no_commits(repository, where)
        raise UsageError(f"{where}: no such revision: {revisions}")
    if lost := next((line for line in found if not repository.has(line.lstrip("^"))), ""):
        raise InputError(f"{where}: {revisions} is {lost}, which is not there", hint="git fsck there tells more")
    return found


def _rfc3339(seconds: int) -> str:
    """Seconds since 1970 as RFC 3339 in UTC; times beyond the year 9999, which broken clocks write, are cut to it."""
    return datetime.fromtimestamp(min(max(seconds, 0), 253402300799), UTC).isoformat()[:19] + "Z"


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
