"""Python package indexes, as the user's pip is configured: which source releases there are, and their files by hash.

In: a project's name. Out: `Release`s with version, upload time and hash; files in `$KAT_CACHE/src/<sha256>`. Honoured:
index-url, extra-index-url, find-links, no-index, cert, client-cert, trusted-host, proxy, timeout, from pip's files and
`PIP_*`, credentials in URLs and in netrc. What an index said is kept: offline, or when it does not answer, the kept
page serves. Wheels are not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from katcore.disk.cache import cache_dir, fresh, publish
from katcore.disk.whole import write_whole
from katcore.errors import InputError, KatError, first_line
from katcore.source.archive import members
from katcore.source.pip_session import session, settings

SUFFIXES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
"""Forms of a source release, the best first."""

MAX_DOWNLOAD = 1 << 30


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One source release as an index lists it. `sha256` is empty where the index does not tell."""

    project: str
    version: str
    filename: str
    url: str
    sha256: str = ""
    uploaded: str = ""
    yanked: bool = False


# --------------------------------------------------------------------------------------- the releases


def releases(name: str, *, offline: bool = False, warn: Callable[[str], None] | None = None) -> list[Release]:
    """All source releases of a project in the order of their versions, one file each, yanked ones too."""
    project = canonicalize_name(name)
    kept = cache_dir("index") / f"{project}.json"
    if offline:
        if not kept.exists():
            raise InputError(f"{project}: nothing is known of it offline")
        return msgspec.json.decode(kept.read_bytes(), type=list[Release])
    try:
        found = _ask(project)
    except ConnectionError as error:
        if not kept.exists():
            raise KatError(f"{project}: {error}") from error
        if warn:
            warn(f"{project}: {error}; taking the page kept from before")
        return msgspec.json.decode(kept.read_bytes(), type=list[Release])
    write_whole(kept, msgspec.json.encode(found))
    return found


def _ask(project: str) -> list[Release]:
    best: dict[Version, Release] = {}
    known = False
    for listed in [*map(_from_folder, settings().find_links), *map(_from_index, settings().indexes)]:
        for release in listed(project):
            known = True
            version = _version(release)
            if version is not None and (version not in best or _rank(release) < _rank(best[version])):
                best[version] = release
    if not known:
        raise InputError(f"{project}: no index knows this package", hint="see `pip config list` for the indexes asked")
    if not best:
        raise InputError(f"{project}: has no source release")
    return [best[version] for version in sorted(best)]


def _from_index(endpoint: str) -> Callable[[str], Iterator[Release]]:
    """What one index lists of a project; also one empty release, when it knows the project but not a source release."""

    def listed(project: str) -> Iterator[Release]:
        import requests
        from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError

        try:
            page = PyPISimple(endpoint, session=session()).get_project_page(project, timeout=settings().timeout)
        except NoSuchProjectError:
            return
        except (requests.RequestException, UnsupportedContentTypeError) as error:
            raise ConnectionError(f"the package index does not answer: {_brief(error)}") from error
        yield Release(project=project, version="", filename="", url="")
        for file in page.packages:
            if file.filename.endswith(SUFFIXES):
                uploaded = file.upload_time.astimezone(UTC).isoformat() if file.upload_time else ""
                yield Release(
                    project=project, version="", filename=file.filename, url=_without_login(file.url),
                    sha256=file.digests.get("sha256", ""), uploaded=uploaded.replace("+00:00", "Z"),
                    yanked=file.is_yanked,
                )  # fmt: skip

    return lambda project: _with_version(listed(project))


def _from_folder(where: str) -> Callable[[str], Iterator[Release]]:
    """What one find-links folder holds of a project. Pages of links are not read."""

    def listed(project: str) -> Iterator[Release]:
        folder = Path(unquote(urlsplit(where).path) if where.startswith("file:") else where).expanduser()
        for file in sorted(folder.iterdir()) if folder.is_dir() else []:
            if file.name.endswith(SUFFIXES):
                yield Release(project=project, version="", filename=file.name, url=file.absolute().as_uri())

    return lambda project: (r for r in _with_version(listed(project)) if r.version)


def _with_version(listed: Iterator[Release]) -> Iterator[Release]:
    """Fill in the version from the file's name; another project's files and bad versions lose theirs."""
    for release in listed:
        version = ""
        for suffix in SUFFIXES:
            if release.filename.endswith(suffix):
                name, _, text = release.filename.removesuffix(suffix).rpartition("-")
                version = _normal(release.project, name, text)
                break
        yield msgspec.structs.replace(release, version=version)


def _normal(project: str, name: str, text: str) -> str:
    try:
        named, version = parse_sdist_filename(f"{name}-{text}.tar.gz")
    except (InvalidSdistFilename, InvalidVersion):
        return ""
    return str(version) if named == project else ""


def _version(release: Release) -> Version | None:
    return Version(release.version) if release.version else None


def _rank(release: Release) -> tuple[bool, int]:
    form = next(rank for rank, suffix in enumerate(SUFFIXES) if release.filename.endswith(suffix))
    return not release.uploaded, form


# ------------------------------------------------------------------------------------------ the files


def fetch(release: Release, *, offline: bool = False) -> tuple[str, Path]:
    """A release's file in the cache, downloaded unless it is there, its hash checked: (sha256, path)."""
    if release.sha256:
        final = cache_dir("src") / release.sha256
        if final.exists():
            return release.sha256, final
    if offline:
        raise KatError(f"{release.filename} is not in the cache, and this is offline")
    with fresh("src") as new:
        sha256 = _download(release, new / "file")
        if release.sha256 and sha256 != release.sha256:
            raise InputError(f"{release.filename}: the index promises sha256 {release.sha256}, the file has {sha256}")
        return sha256, publish(new / "file", cache_dir("src") / sha256)


def fetch_sha256(project: str, sha256: str, *, offline: bool = False) -> Path:
    """The file of a project with this hash, from the cache or from an index."""
    final = cache_dir("src") / sha256
    if final.exists():
        return final
    listed = releases(project, offline=offline)
    for release in [r for r in listed if r.sha256 == sha256] or [r for r in listed if not r.sha256]:
        if fetch(release, offline=offline)[0] == sha256:
            return final
    raise InputError(f"{project}: no index has its file with sha256 {sha256}")


def uploaded(release: Release, archive: Path) -> str:
    """When a release was published (RFC 3339, UTC); where no index tells, the time of its newest file."""
    if release.uploaded:
        return release.uploaded
    newest = max((member.modified for member in members(archive)), default=0)
    return datetime.fromtimestamp(min(max(newest, 0), 4102444800), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _download(release: Release, path: Path) -> str:
    import requests

    digest, size = hashlib.sha256(), 0
    try:
        with session().get(release.url, stream=True, timeout=settings().timeout) as reply, path.open("wb") as out:
            reply.raise_for_status()
            reply.raw.decode_content = False
            while chunk := reply.raw.read(1 << 18):
                size += len(chunk)
                if size > MAX_DOWNLOAD:
                    raise InputError(f"{release.filename}: larger than {MAX_DOWNLOAD} bytes")
                digest.update(chunk)
                out.write(chunk)
    except requests.RequestException as error:
        raise KatError(f"{release.filename}: cannot be downloaded: {_brief(error)}") from error
    return digest.hexdigest()


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def _brief(error: Exception) -> str:
    """The innermost cause of a failed request, in one line."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return first_line(cause)
