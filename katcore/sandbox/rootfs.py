"""What a box sees of this machine, as arguments of bubblewrap: the system's programs, a minimal `/etc`, one Python.

Read-only `/usr`, `/bin`, `/sbin`, `/lib*` as they are linked here; `/usr/local`, every `site-packages` and
`dist-packages`, and bundles of other people's packages are empty. The interpreter appears at `/opt/python` without
anybody's packages. No home, no cache, no `/var`, no other part of `/etc`. The small files made for this lie in
`$KAT_CACHE/rootfs/<digest>`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from pathlib import Path
from threading import RLock
from typing import ParamSpec, TypeVar, cast

from katcore.disk.cache import cache_dir, digest_of, fresh, publish
from katcore.sandbox import ENV, portable
from katcore.sandbox.interpreter import Python

HOME = "/tmp/home"
PATH = f"{ENV}/bin:/opt/python/bin:/usr/bin:/bin:/usr/sbin:/sbin"
USER = 65534
PACKAGES = frozenset({"site-packages", "dist-packages"})
BUNDLES = frozenset({"third_party", "google-cloud-sdk"})
"""Folders in which installed programs carry copies of other people's packages: a task's project may be one of them."""
_INSIDE = "/opt/python"
P = ParamSpec("P")
T = TypeVar("T")

ETC = {
    "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nnobody:x:{USER}:{USER}:nobody:{HOME}:/bin/bash\n",
    "group": f"root:x:0:\nnogroup:x:{USER}:\n",
    "hosts": "127.0.0.1 localhost box\n::1 localhost\n",
    "hostname": "box\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "shells": "/bin/sh\n/bin/bash\n",
}
LINKS = (("/tests", "/tmp/tests"), ("/logs", "/tmp/logs"), ("/solution", "/tmp/solution"))
"""Places that the scripts of Harbor tasks name: in a box they lead to where it may write."""
FROM_HOST = ("alternatives", "ld.so.cache")
"""What programs below `/usr` need: Debian's links to the chosen awk, cc and editor, and where libraries lie."""
ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where distributions keep the certificates that all their programs trust, in one file."""
_FOR_NETWORK = ("resolv.conf", "hosts", "ssl", "ca-certificates", "pki", "crypto-policies")


_LOCK = RLock()


def _once(compute: Callable[P, T]) -> Callable[P, T]:
    """`functools.cache` that makes other threads wait: a hundred boxes must not walk `/usr` a hundred times."""
    known = cast(Callable[P, T], cache(compute))

    @wraps(compute)
    def wait(*args: P.args, **kwargs: P.kwargs) -> T:
        with _LOCK:
            return known(*args, **kwargs)

    return wait


@_once
def system() -> tuple[str, ...]:
    """The system's programs and libraries, without anybody's Python packages."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for path in sorted(Path("/").iterdir()):
        if path.name in ("bin", "sbin") or re.fullmatch(r"lib(32|64|x32)?", path.name):
            if path.is_symlink():
                arguments += ["--symlink", str(path.readlink()), str(path)]
            else:
                arguments += ["--ro-bind", str(path), str(path)]
                arguments += _masks(path, str(path))
    arguments += _masks(Path("/usr"), "/usr", skip="local")
    if Path("/usr/local").is_dir():
        arguments += ["--tmpfs", "/usr/local"]
    return tuple(arguments)


KERNEL = ("--proc", "/proc", "--remount-ro", "/proc")
"""The kernel asks for root's user id, not for a capability, at its switches (`/proc/sys`, `/proc/irq`, sysrq): in a box
of a runner that is root they could be turned. One remount costs less than a mount for each of them; what a process may
set about itself below `/proc/self` is lost with it."""

DEVICES = ("--dev", "/dev", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
"""bubblewrap's arguments for `/dev`, in which only shared memory can be written, which counts as memory."""

SEALED = ("--remount-ro", "/usr/local") if Path("/usr/local").is_dir() else ()
"""bubblewrap's arguments that make `/usr/local` read-only; they must follow all mounts below it."""


@_once
def etc(network: bool) -> tuple[str, ...]:
    """A minimal `/etc`; with `network`, this machine's names and certificates too.

    Without it there is the one file of certificates that this machine trusts, no key: some programs end at their start
    where they find none.
    """
    roots = b"" if network else next((Path(path).read_bytes() for path in ROOTS if Path(path).is_file()), b"")
    shown = [name for name in FROM_HOST + (_FOR_NETWORK if network else ()) if Path("/etc", name).exists()]
    folders = {name for name in shown if Path("/etc", name).is_dir()}
    parts = (repr(sorted(ETC.items())), repr(shown), repr(sorted(folders)))
    final = cache_dir("rootfs") / digest_of("etc/2", *parts, roots)
    if not final.is_dir():
        with fresh("rootfs") as made:
            for name, text in ETC.items():
                (made / name).write_text(text, encoding="utf-8")
            for name in shown:
                (made / name).mkdir() if name in folders else (made / name).touch()
            if roots:
                (made / "ssl/certs").mkdir(parents=True)
                (made / "ssl/certs/ca-certificates.crt").write_bytes(roots)
                (made / "ssl/cert.pem").symlink_to("certs/ca-certificates.crt")
            (made / "localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
            (made / "mtab").symlink_to("/proc/self/mounts")
            publish(made, final)
    arguments = _one_by_one(final, shown) if network else ["--ro-bind", str(final), "/etc"]
    for name in shown:
        arguments += ["--ro-bind", os.path.realpath(f"/etc/{name}"), f"/etc/{name}"]
    return tuple(arguments)


def _one_by_one(etc: Path, instead: Sequence[str]) -> list[str]:
    """The arguments for `/etc` file by file, so that more can be added: certificates may lie anywhere in it."""
    arguments: list[str] = []
    for path in sorted(path for path in etc.iterdir() if path.name not in instead):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), f"/etc/{path.name}"]
        else:
            arguments += ["--ro-bind", str(path), f"/etc/{path.name}"]
    return arguments


@_once
def python(which: Python) -> tuple[str, ...]:
    """The interpreter at `/opt/python/bin/python3`. A shared libpython is found by the path it was linked with."""
    arguments = ["--ro-bind", str(_executables(which)), f"{_INSIDE}/bin"]
    if which.prefix == Path("/usr"):
        return tuple(arguments)
    arguments += _installation(which)
    if len(_library_path(which)) < len(_INSIDE) + 4:
        for library in sorted((which.prefix / "lib").glob("libpython*.so*")):
            arguments += ["--ro-bind", str(library.resolve()), str(library)]
    return tuple(arguments)


@_once
def portable_python(which: Python) -> tuple[str, ...]:
    """The interpreter for a root file system of any distribution, with its own loader and libraries (`portable.py`)."""
    arguments = ["--ro-bind", str(portable.folder(which, _INSIDE)), f"{_INSIDE}/bin"]
    if which.prefix == Path("/usr"):
        library = f"lib/python{which.version}"
        return (*arguments, "--ro-bind", f"/usr/{library}", f"{_INSIDE}/{library}")
    return (*arguments, *_installation(which))


def _installation(which: Python) -> list[str]:
    """bubblewrap's arguments for an interpreter's library, without anybody's packages."""
    arguments: list[str] = []
    for name in ("lib", "lib64", "include"):
        source = which.prefix / name
        if source.is_dir() and not source.is_symlink():
            arguments += ["--ro-bind", str(source), f"{_INSIDE}/{name}"]
            for packages in sorted(source.glob("python*/*-packages")):
                arguments += ["--ro-bind", empty(), f"{_INSIDE}/{packages.relative_to(which.prefix)}"]
    return arguments


def _library_path(which: Python) -> bytes:
    return os.fsencode(which.prefix / "lib")


def _executables(which: Python) -> Path:
    """A folder with `python3`: a copy of the executable, or for the system's own Python a link to it.

    An interpreter built with a shared libpython carries an absolute path to it; in the copy that path is ours.
    """
    status = which.executable.stat()
    final = cache_dir("rootfs") / digest_of("python/1", str(which), str(status.st_size), str(status.st_mtime_ns))
    if final.is_dir():
        return final
    with fresh("rootfs") as made:
        name = f"python{which.version}"
        if which.prefix == Path("/usr"):
            (made / name).symlink_to(which.executable)
        else:
            (made / name).write_bytes(_relinked(which))
            (made / name).chmod(0o755)
        for alias in ("python3", "python"):
            (made / alias).symlink_to(name)
        return publish(made, final)


def _relinked(which: Python) -> bytes:
    data, built = which.executable.read_bytes(), _library_path(which) + b"\0"
    inside = f"{_INSIDE}/lib".encode() + b"\0"
    return data.replace(built, inside.ljust(len(built), b"\0")) if len(inside) <= len(built) else data


def _masks(top: Path, inside: str, skip: str = "") -> list[str]:
    """Arguments that put an empty folder over every folder of installed Python packages, and over bundles."""
    masks: list[str] = []
    for folder in sorted(_package_folders(top, skip)):
        masks += ["--ro-bind", empty(), f"{inside}/{folder.relative_to(top)}"]
    return masks


def empty() -> str:
    """The path of an empty folder, to hide others with."""
    folder = cache_dir("rootfs") / "empty"
    folder.mkdir(exist_ok=True)
    return str(folder)


def _package_folders(top: Path, skip: str) -> Iterator[Path]:
    """All folders of Python packages below `top`, none inside another; links are not followed."""
    waiting = [top]
    while waiting:
        at = waiting.pop()
        try:
            entries = list(os.scandir(at))
        except (PermissionError, FileNotFoundError):
            continue
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or (at == top and entry.name == skip):
                continue
            if entry.name in PACKAGES or entry.name in BUNDLES:
                yield Path(entry.path)
            else:
                waiting.append(Path(entry.path))
