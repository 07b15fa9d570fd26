"""Mine the releases of a package: one `kat.change` for each two consecutive source releases.

In: a project's name and a range of versions. Out: work items, and `Releases`, which turns one into a record; the
commits are the sha256 of the two archives, the time is that of the upload. What packaging tools generate (PKG-INFO,
egg-info) never enters a patch; what the change log gained becomes the body, and its file is left out too. Yanked
releases are passed over, pre-releases unless asked for. Both trees are put into a throw-away git repository, so that
the patch is git's own and as exact as that of a commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from packaging.version import InvalidVersion, Version

from katcore.disk.cache import fresh
from katcore.errors import InputError, RecordError, Rejected, UsageError
from katcore.mine.assemble import clean, parts_of
from katcore.mine.license import FILES, spdx
from katcore.mine.options import ReleasesOptions
from katcore.mine.patches import DIFF_OPTIONS, added, diff_again
from katcore.pool import Item
from katcore.records import Change, ChangeSource, content_id, item_key
from katcore.source.archive import Member, members
from katcore.source.checkout import PURL
from katcore.source.diff import FileDiff
from katcore.source.git import Repository, new_store
from katcore.source.index import Release, fetch, releases, uploaded
from katcore.source.quoting import quoted

_GENERATED = re.compile(r"(.*/)?(PKG-INFO|[^/]+\.(egg-info|dist-info)(/.*)?|\.hgtags|\.hg_archival\.txt|\.git(/.*)?)")
_ONLY_EGG_INFO = re.compile(rb"\s*\[egg_info\]\s*(tag_(build|date|svn_revision)\s*=[^\n]*\s*)*")
_CHANGE_LOG = re.compile(
    r"(docs?/(source/|src/)?)?(changelogs?|changes|history|news|release[-_]?notes?|releases|whatsnew|what[-_]is[-_]new)"
    r"([-_.][^/]*)?(\.(rst|md|txt|adoc|markdown))?|(.*/)?(newsfragments|changelog\.d|changelogs|release-?notes)/[^/]+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Pair:
    """Two consecutive releases, their hashes known."""

    project: str
    base: Release
    head: Release

    @property
    def id(self) -> str:
        """The id of the change."""
        return content_id(self.project, self.base.sha256, self.head.sha256)


def pairs(
    projects: Iterable[str],
    which: ReleasesOptions = ReleasesOptions(),
    *,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Item]:
    """Work items of all consecutive releases from version `first` to version `last`, both included."""
    for project in projects:
        known = releases(project, offline=which.offline, warn=warn)
        listed = [_hashed(r, which.offline) for r in _selected(project, known, which.first, which.last, which.pre)]
        for base, head in pairwise(listed):
            pair = Pair(head.project, base, head)
            yield Item(item_key(Change, pair.id), pair, shard=pair.id)


def _selected(project: str, listed: list[Release], first: str, last: str, pre: bool) -> list[Release]:
    low, high = _bound(project, listed, first, "from"), _bound(project, listed, last, "to")
    kept = []
    for release in listed:
        version = Version(release.version)
        if (low and version < low) or (high and version > high) or release.yanked:
            continue
        if pre or not version.is_prerelease or version in (low, high):
            kept.append(release)
    if len(kept) < 2:
        raise InputError(
            f"{project}: fewer than two source releases between {first or 'the first'} and {last or 'the last'}"
        )
    return kept


def _bound(project: str, listed: list[Release], text: str, option: str) -> Version | None:
    """The version in `text`, if any. UsageError for one not listed: a misspelt one would mean another range."""
    if not text:
        return None
    try:
        version = Version(text)
    except InvalidVersion:
        raise UsageError(f"--{option} {text}: not a version") from None
    if all(Version(release.version) != version for release in listed):
        near = [r.version for r in sorted(listed, key=lambda r: (Version(r.version) < version, Version(r.version)))][:1]
        raise InputError(f"{project}: has no source release {text}", hint=f"the next is {near[0]}" if near else "")
    return version


def _hashed(release: Release, offline: bool) -> Release:
    """The release with its sha256, which some indexes do not tell: then the file does."""
    if release.sha256:
        return release
    import msgspec

    return msgspec.structs.replace(release, sha256=fetch(release, offline=offline)[0])


@dataclass(frozen=True)
class Releases:
    """Turn a pair of releases into a change. Pairs without a difference are turned away."""

    offline: bool = False
    with_tests: bool = False

    def __call__(self, item: Item) -> Iterator[Change]:
        """The change of one pair."""
        pair: Pair = item.payload
        try:
            yield self._change(pair)
        except InputError as error:
            raise RecordError("releases", str(error)) from error

    def _change(self, pair: Pair) -> Change:
        archive = fetch(pair.head, offline=self.offline)[1]
        base, head = members(fetch(pair.base, offline=self.offline)[1]), members(archive)
        diffs = compare(_kept(base), _kept(head))
        logs = [diff for diff in diffs if _CHANGE_LOG.fullmatch(diff.name)]
        found = parts_of([diff for diff in diffs if diff not in logs])
        evidence: dict[str, object] = {"base": pair.base.filename, "head": pair.head.filename}
        if not found.files:
            raise Rejected("releases", "nothing differs", evidence)
        if self.with_tests and not found.test_patch:
            raise Rejected("releases", "no test changes", evidence)
        return Change(
            id=pair.id,
            repo=pair.project,
            base_commit=pair.base.sha256,
            head_commit=pair.head.sha256,
            created_at=uploaded(pair.head, archive),
            title=f"{pair.project} {pair.head.version}",
            body=_log_text(logs),
            patch=found.patch,
            test_patch=found.test_patch,
            files=found.files,
            languages=found.languages,
            labels=found.labels,
            source=ChangeSource(
                kind="release", url=f"{PURL}{pair.project}@{pair.head.version}", sha256=pair.head.sha256
            ),
            license=spdx({name: m.data for m in head if FILES.fullmatch(name := m.path.decode("utf-8", "replace"))}),
        )


def _kept(files: list[Member]) -> list[Member]:
    return [file for file in files if not _is_generated(file)]


def _is_generated(file: Member) -> bool:
    name = file.path.decode("utf-8", "replace")
    return bool(_GENERATED.fullmatch(name)) or (name == "setup.cfg" and bool(_ONLY_EGG_INFO.fullmatch(file.data)))


def _log_text(logs: list[FileDiff]) -> str:
    """What the change log gained."""
    texts = (b"\n".join(added(diff)).decode("utf-8", "replace").strip("\r\n") for diff in logs)
    return "\n\n".join(filter(None, texts))


# ------------------------------------------------------------------------------- comparing two trees


def compare(base: list[Member], head: list[Member]) -> list[FileDiff]:
    """The files that differ between two sets of files."""
    with fresh("work") as folder:
        repository = _store(folder, base, head)
        patch = repository.git("diff-tree", *DIFF_OPTIONS, "base", "head")
        return clean(patch, partial(diff_again, repository, "base", "head"))


def _store(folder: Path, base: list[Member], head: list[Member]) -> Repository:
    """A bare repository with the two trees as tags `base` and `head`, and no configuration but ours."""
    repository = Repository("releases to compare", None, folder, folder, folder / "objects")
    new_store(folder)
    (folder / "binary.attributes").write_text("* -diff\n")
    stream = b"".join(_tag("base", base)) + b"".join(_tag("head", head)) + b"done\n"
    repository.git("fast-import", "--quiet", "--done", data=stream)
    return repository


def _tag(name: str, files: list[Member]) -> Iterator[bytes]:
    yield b"commit refs/tags/%s\ncommitter kat <> 0 +0000\ndata 0\ndeleteall\n" % name.encode()
    for file in files:
        yield b"M %s inline %s\ndata %d\n" % (file.mode.encode(), quoted(file.path), len(file.data))
        yield file.data + b"\n"
