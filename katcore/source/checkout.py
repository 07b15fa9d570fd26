"""Where the files of a task come from: a git commit, a source release, or the record itself.

In: a change or a `TaskSource`. Out: a folder with exactly the files of the base state: of a release everything that
the archive holds, its packaging metadata too, since a set-up needs it (patches never touch that); of a commit the
blobs' own bytes, without `.git`, with empty folders for submodules. Archives and clones stay in the cache.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from katcore.disk.cache import fresh
from katcore.errors import InputError
from katcore.records import Change, TaskSource
from katcore.source import archive, git, index

PURL = "pkg:pypi/"
"""How the package URL of a project begins, which names no index (ECMA-427)."""


def source_of(change: Change) -> TaskSource:
    """The source of a change's base state."""
    if change.source.kind == "release":
        return TaskSource(kind="sdist", url=PURL + change.repo, sha256=change.base_commit)
    return TaskSource(kind="git", url=change.source.url or f"local:{change.repo}", ref=change.base_commit)


def checkout(source: TaskSource, folder: Path) -> None:
    """Fill `folder`, which must be empty or absent, with the files of a source."""
    if source.kind == "git":
        if source.ref in git.EMPTY_TREE.values():
            folder.mkdir(parents=True, exist_ok=True)
        else:
            git.checkout_tree(git.locate(source.url, source.ref), source.ref, folder)
    elif source.kind == "sdist":
        archive.unpack(fetch(source), folder)
    else:
        _checkout_inline(source, folder)


def fetch(source: TaskSource, *, offline: bool = False) -> Path:
    """The archive of a source release, from the cache or from the user's package index, its hash checked."""
    if not source.url.startswith(PURL) or not source.sha256:
        raise InputError(f"{source.url or 'a source'}: a release is named by {PURL}NAME and its sha256")
    project = source.url.removeprefix(PURL).partition("@")[0]
    return index.fetch_sha256(project, source.sha256, offline=offline)


def _checkout_inline(source: TaskSource, folder: Path) -> None:
    """An inline source is a `data:…;base64,` URL of a tar or zip archive of the files; empty: no files."""
    if not source.url:
        folder.mkdir(parents=True, exist_ok=True)
        return
    head, _, text = source.url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise InputError("an inline source is a data: URL in base64")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InputError(f"an inline source is not base64: {error}") from error
    if source.sha256 and hashlib.sha256(data).hexdigest() != source.sha256:
        raise InputError("an inline source does not have its sha256")
    with fresh("src") as new:
        (new / "inline").write_bytes(data)
        archive.unpack(new / "inline", folder, strip=False)
