"""Git as a subprocess, started here alone, and a neutral way to look at a repository.

In: a local repository or a URL. Out: a `Repository`, whose `view` is a bare git folder of ours that borrows the
repository's objects and nothing else: neither its configuration, attributes, hooks, grafts and replacements nor the
user's change what we read. Clones of URLs lie in `$KAT_CACHE/git/`. Three environments: the user's own (`git`), one in
which nothing changes what git prints (`neutral`), one for folders that nobody trusts (`isolated`). What keeps a
repository from being read is an InputError of one line that names the repository, as it was asked for, and the reason.
Needs git 2.31 or newer.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.disk.whole import write_whole
from katcore.errors import InputError, KatError

EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}

EXACT = "* -text -eol -ident -filter -working-tree-encoding\n"
"""Attributes that let a checkout write the very bytes of the blobs."""


LOCAL = frozenset(
    {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NAMESPACE",
    }
)  # fmt: skip
"""What git tells a hook about the hook's own repository."""

GENERIC = frozenset({"", "/", ".", "..", "repo", "Repo"})
"""What names no project, `.git` taken off."""

UNNAMED = "unnamed"
"""The name of a repository that has no remote and lies where no folder names it (`/repo`)."""

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_KEY_2": "core.fsmonitor",
    "GIT_CONFIG_VALUE_2": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
"""Git without anybody's configuration or hooks, in a box too."""


@dataclass(frozen=True)
class Repository:
    """A repository to read from. `url` is public, without credentials, and null for one that only this host has.

    `where` is what it was asked for by, for errors alone: a folder of this host has no place in a record.
    """

    name: str
    url: str | None
    folder: Path
    view: Path
    objects: Path
    format: str = "sha1"
    shallow: frozenset[str] = field(default_factory=frozenset)
    where: str = ""

    @property
    def empty_tree(self) -> str:
        """The id of the tree without files, which is the base of a root commit."""
        return EMPTY_TREE[self.format]

    def git(self, *args: str, data: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """The standard output of a git command that reads this repository through the view. InputError."""
        done = ended(*self._through(args), env={**self._environ(), **(env or {})}, data=data)
        if done.returncode:
            raise self.unreadable(done.stderr, done.returncode)
        return done.stdout

    def unreadable(self, stderr: bytes, code: int) -> InputError:
        """Why git could not read this repository."""
        return _unreadable(self.where or self.name, stderr, code)

    def start(self, *args: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """A git process that reads this repository through the view."""
        return start(*self._through(args), env=self._environ(), errors=errors)

    def has(self, commit: str) -> bool:
        """Whether a commit or tree is here."""
        return ended(*self._through(("cat-file", "-e", commit)), env=self._environ()).returncode == 0

    def _through(self, args: tuple[str, ...]) -> tuple[str, ...]:
        return f"--git-dir={self.view}", "-c", "core.attributesFile=/dev/null", *args

    def _environ(self) -> dict[str, str]:
        shallow = {"GIT_SHALLOW_FILE": str(self.folder / "shallow")} if self.shallow else {}
        return {**neutral(), "GIT_OBJECT_DIRECTORY": str(self.objects), **shallow}


# ----------------------------------------------------------------------------------------- starting git


def neutral() -> dict[str, str]:
    """This process's environment with nothing that would change what git prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def isolated() -> dict[str, str]:
    """No more than git needs in a folder that nobody trusts: neither its user's nor its own configuration counts."""
    own = {"GIT_ATTR_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", **GIT_ENV, **own}


def git(*args: str, where: str) -> bytes:
    """The standard output of a git command under the user's own configuration (credentials, proxies). InputError."""
    base = {name: value for name, value in os.environ.items() if name not in LOCAL}
    done = ended(*args, env={**base, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"})
    if done.returncode:
        raise _unreadable(where, done.stderr, done.returncode)
    return done.stdout


def run(*args: str, where: str, env: Mapping[str, str], cwd: Path | None = None) -> bytes:
    """The standard output of a git command of our own on a folder of ours. KatError: `where`, and git's complaint."""
    done = ended(*args, env=env, cwd=cwd)
    if done.returncode:
        raise KatError(f"{where}: {reason(done.stderr, done.returncode)}")
    return done.stdout


def ended(
    *args: str, env: Mapping[str, str], data: bytes = b"", cwd: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """A git command at its end, whichever that was. With a `timeout` what git itself has started ends with it.

    Without one git stays in the session of whoever may be asked for a password.
    """
    alone = timeout is not None
    with start(*args, env=env, cwd=cwd, alone=alone) as process:
        try:
            out, errors = process.communicate(data, timeout)
        except BaseException:
            if alone and process.poll() is None:  # not waited for: nobody else can have its number
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, out, errors)


def start(
    *args: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    errors: IO[bytes] | int = subprocess.PIPE,
    alone: bool = False,
) -> subprocess.Popen[bytes]:
    """A git process with pipes to talk to it; `alone`: in a session of its own."""
    try:
        return subprocess.Popen(
            ["git", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(env),
            cwd=cwd,
            start_new_session=alone,
        )
    except FileNotFoundError as error:
        if error.filename != "git":
            raise
        raise KatError("git is not installed", hint="apt-get install git") from None


def reason(stderr: bytes, code: int) -> str:
    """What git complained about, in one line and without credentials."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return re.sub(r"(\w://)[^/@\s]+@", r"\1", (fatal or lines or [f"git ended with status {code}"])[0])


def _unreadable(where: str, stderr: bytes, code: int) -> InputError:
    said = reason(stderr, code)
    if not _LOST.search(said):
        return InputError(f"{where}: {said}")
    return InputError(f"{where}: an object is missing or damaged: {said}", hint="git fsck there tells which")


_LOST = re.compile(
    r"unable to (read|find|open object|unpack|normalize alternate)|could not read|failed to read object|inflate: "
    r"|not a tree object|bad (object|tree|file|signature)|object file |loose object|missing (blob|tree|commit)"
    r"|packfile |corrupt",
    re.IGNORECASE,
)
"""What git says where objects are not there or not whole."""


# ------------------------------------------------------------------------------------------ opening


def open_repository(where: str) -> Repository:
    """A local repository (a folder in it will do), or a URL, which is cloned or brought up to date in the cache."""
    if Path(where).is_dir():
        return _look(Path(where))
    if is_url(where):
        return mirror(where)
    raise InputError(f"{where}: neither a folder nor a URL of a git repository")


def is_url(where: str) -> bool:
    """Whether git would take this for a URL (`https://…`, `user@host:path`)."""
    return bool(re.match(r"[a-z][a-z0-9+.-]*://", where) or re.match(r"[^/:\s-][^/:\s]*:(?!:)[^\s]", where))


def mirror(url: str, *, update: bool = True) -> Repository:
    """A bare clone of a URL in the cache: made when it is not there, else (with `update`) fetched."""
    shown = public_url(url) or url
    home = cache_dir("git") / digest_of(shown)
    with locked(home):
        if not home.is_dir():
            with fresh("git") as new:
                git("clone", "--quiet", "--bare", "--", url, str(new / "clone"), where=shown)
                git(f"--git-dir={new / 'clone'}", "config", "remote.origin.url", shown, where=shown)
                publish(new / "clone", home)
        elif update:
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            git(f"--git-dir={home}", "-c", "gc.auto=0", "fetch", "--quiet", "--prune", "--", url, *refs, where=shown)
    return _look(home, url)


def _look(folder: Path, url: str = "") -> Repository:
    """Find a repository's objects and make the view through which they are read."""
    asked = ("--git-common-dir", "--git-path", "objects", "--show-object-format", "--git-path", "shallow")
    where = public_url(url) or str(folder)
    out = git("-C", str(folder), "rev-parse", "--path-format=absolute", *asked, where=where)
    common, objects, kind, shallow = out.decode("utf-8", "surrogateescape").split("\n")[:4]
    if _partial(folder):
        raise InputError(f"{where}: a partial clone lacks blobs", hint="mine its URL, or a full clone")
    place = Path(urlsplit(url).path) if url else Path(common)
    url = url or _remote(folder)
    cut = Path(shallow).read_text().split() if Path(shallow).is_file() else []
    name = repo_name(url) if public_url(url) else ""
    name = name or _folder_name(place) or _folder_name(folder.resolve()) or UNNAMED
    view = _view(Path(objects), kind)
    return Repository(name, public_url(url), Path(common), view, Path(objects), kind, frozenset(cut), where)


def _partial(folder: Path) -> bool:
    """Whether some remote promises the objects that are not here; the older versions say so of the repository."""
    asked = ("config", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$")
    try:
        found = git("-C", str(folder), *asked, where=str(folder))
    except InputError:  # nothing is configured
        return False
    return any(not line.endswith(b" false") for line in found.splitlines())


def no_commits(repository: Repository, where: str) -> InputError:
    """The error for a HEAD that names no commit: what it names, and where there are some."""
    head, others = (
        ended(f"--git-dir={repository.folder}", *args, env=neutral()).stdout.decode("utf-8", "replace").split()
        for args in (
            ("symbolic-ref", "--quiet", "--short", "HEAD"),
            ("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes"),
        )
    )
    if not head or not others:
        return InputError(f"{where}: has no commits")
    message = f"{where}: HEAD is at the branch {head[0]}, which has no commits"
    return InputError(message, hint=f"--range {others[0]} mines another branch")


def _remote(folder: Path) -> str:
    """The URL of `origin`, or of the first remote that has one; empty without any."""
    if url := _config(folder, "remote.origin.url"):
        return url
    listed = _config(folder, r"^remote\..*\.url$", "--get-regexp")
    return listed.partition("\n")[0].partition(" ")[2]


def new_store(folder: Path, kind: str = "sha1") -> None:
    """Make a bare git folder that has nothing but what git itself puts there."""
    run("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(folder), where=str(folder),
        env=neutral())  # fmt: skip


def _view(objects: Path, kind: str) -> Path:
    view = cache_dir("git") / "view" / digest_of(str(objects), kind)
    with locked(view):
        if not view.is_dir():
            with fresh("git") as new:
                new_store(new / "view", kind)
                (new / "view" / "info").mkdir(exist_ok=True)
                (new / "view" / "info" / "attributes").write_text(EXACT)
                (new / "view" / "binary.attributes").write_text("* -diff\n")
                publish(new / "view", view)
    return view


def _config(folder: Path, key: str, how: str = "--get") -> str:
    """A value as written: `remote get-url` would apply the user's insteadOf rules, which may hold tokens."""
    try:
        value = git("-C", str(folder), "config", how, key, where=str(folder))
    except InputError:
        return ""
    return value.decode("utf-8", "surrogateescape").strip()


# -------------------------------------------------------------------------------------------- names


def public_url(url: str) -> str | None:
    """The URL without credentials, query and fragment; null for a path of this host."""
    if re.match(r"[^/:@\s]+@[^/:\s]+:[^\s]", url):
        return url
    if "://" not in url:
        return url if is_url(url) else None
    parts = urlsplit(url)
    if parts.scheme == "file" or not parts.hostname:
        return None
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{user}{parts.hostname}{port}", parts.path, "", ""))


def repo_name(url: str) -> str:
    """`owner/name` of a public URL, or as much of it as there is; empty where it names no project."""
    path = urlsplit(url).path if "://" in url else url.rpartition(":")[2]
    name = path.strip("/").removesuffix("/.git").removesuffix(".git")
    return "" if name in GENERIC else name


def _folder_name(folder: Path) -> str:
    """The last part of a path that tells projects apart: `shop` of `shop/.git`, `shop.git` and `shop/repo`."""
    names = (part.removesuffix(".git") for part in reversed(folder.parts))
    return next((name for name in names if name not in GENERIC), "")


# ------------------------------------------------------------------------- finding a commit again


def remember(repository: Repository) -> None:
    """Note where on this host a repository lies, so that `locate` finds it without asking its URL."""
    notes = _notes(repository.url or f"local:{repository.name}")
    with locked(notes):
        known, folder = _noted(notes), os.fsencode(repository.folder)
        if folder not in known:
            write_whole(notes, b"".join(each + b"\n" for each in (*known, folder)))


def locate(url: str, commit: str) -> Repository:
    """The repository that holds a commit: a remembered one, else a clone. `local:NAME` is one without a URL."""
    notes = _notes(url)
    for known in map(os.fsdecode, _noted(notes)):
        with suppress(InputError):  # it is none any more, or a partial clone
            repository = _look(Path(known))
            if repository.has(commit):
                return repository
    if url.startswith("local:"):
        name = url.removeprefix("local:")
        raise InputError(f"no repository known here as {name} has {commit[:12]}", hint="kat-mine changes it once here")
    for update in (False, True):
        repository = mirror(url, update=update)
        if repository.has(commit):
            return repository
    raise InputError(f"{url} has no {commit[:12]} (any more)")


def _notes(url: str) -> Path:
    return cache_dir("git") / "known" / digest_of(url)


def _noted(notes: Path) -> list[bytes]:
    """The folders in it."""
    return notes.read_bytes().split(b"\n")[:-1] if notes.exists() else []


def checkout_tree(repository: Repository, tree: str, folder: Path) -> None:
    """Write the files of a commit or tree below `folder`, which must be empty: the blobs' own bytes, no `.git`."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty")
    with fresh("git") as scratch:
        env = {"GIT_INDEX_FILE": str(scratch / "index")}
        repository.git("read-tree", tree, env=env)
        repository.git(f"--work-tree={folder}", "checkout-index", "--all", "--force", env=env)
