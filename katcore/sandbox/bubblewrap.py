"""Boxes of bubblewrap: no daemon, no image, no root needed.

A box is a private folder of this machine: what it wrote over its repository, and its `/tmp`. A link of the box's name
leads there: the folder's own, which the box can read, tells nothing of its task. The repository is the lower layer of a
kernel overlay; where overlays are not to be had the box works on a copy. Inside: all namespaces new, no capability,
user nobody (outside: whoever runs KAT), no network, system calls filtered (`seccomp.py`). What a box sees is in
`rootfs.py` or in its image (`root_image.py`), what it may use in `limits.py`, how its processes run in `box.py`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from katcore.disk.cache import cache_dir
from katcore.errors import SandboxError
from katcore.sandbox import GATEWAY, Box, Mount, Spec, limits, network, owner, root_image, rootfs
from katcore.sandbox.box import OVERLAY, UNSHARE, BubblewrapBox
from katcore.sandbox.docker import exported
from katcore.sandbox.interpreter import Python
from katcore.sandbox.overlay import duplicate, remove

BASE_VARIABLE = "KAT_BUBBLEWRAP_BASE"
ISOLATION = (
    "--unshare-all", "--unshare-user", "--uid", str(rootfs.USER), "--gid", str(rootfs.USER), "--hostname", "box",
    "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv",
)  # fmt: skip


class Bubblewrap:
    """The daemon-less sandbox. `python` names the interpreter that boxes get; by default the one that runs KAT.

    `root` is a root file system to use instead of this machine's programs: a folder, or a tarball of one, as
    `docker export` writes it and `debootstrap` makes it. By default what `$KAT_BUBBLEWRAP_BASE` names.
    """

    name = "bubblewrap"

    def __init__(self, python: Path | None = None, root: Path | None = None) -> None:
        self._path = python
        named = os.environ.get(BASE_VARIABLE)
        self._base = root or (Path(named) if named else None)

    @cached_property
    def _python(self) -> Python:
        return Python.of(self._path)

    def check(self) -> None:
        """Raise SandboxError with one clear line when this machine cannot run such boxes."""
        if not shutil.which("bwrap"):
            raise SandboxError("bubblewrap is not installed", hint="apt-get install bubblewrap")
        # not all of `/`: what others mount and unmount there meanwhile would make it fail
        probe = ["bwrap", *ISOLATION, *rootfs.system(), "--proc", "/proc", "--dev", "/dev", "/bin/true"]
        done = subprocess.run(
            probe, stdin=subprocess.DEVNULL, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        if done.returncode != 0:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300] or f"status {done.returncode}"
            raise SandboxError(f"this machine does not let bubblewrap make a sandbox ({said})", hint=_remedy())

    def create(self, spec: Spec) -> Box:
        """Make a box. Its first `exec` starts the first process."""
        begun = time.monotonic()
        if spec.repo is not None and not spec.repo.is_dir():
            raise SandboxError(f"a box's repository is not a folder: {spec.repo}")
        spec = exported.seen(spec)
        top = owner.owned()
        owner.sweep(limits.parents())
        name = f"{re.sub('[^A-Za-z0-9_.-]', '_', spec.name)[:40]}-{secrets.token_hex(6)}"
        folder, label = top / secrets.token_hex(8), top / name  # a box can read where its mounts come from
        folder.mkdir()
        label.symlink_to(folder.name)
        group = None
        try:
            overlaid = spec.repo is not None and _overlays(top) and spec.repo.stat().st_uid == os.geteuid()
            _fill(folder, spec, overlaid)
            group = limits.group(f"{top.name}-{name}", spec.limits, limits.parents())
            box = BubblewrapBox(spec, folder, label, group, self._view(spec, folder, overlaid), overlaid)
        except BaseException:
            if group:
                group.remove()
            remove(folder)
            label.unlink()
            raise
        box.boot_s = time.monotonic() - begun
        return box

    def _view(self, spec: Spec, folder: Path, overlaid: bool) -> list[str]:
        """bubblewrap's arguments, but for the working folder and the environment of one process."""
        repo = folder.parent / "merged" if overlaid else folder / "upper"
        view = [*ISOLATION, *(("--share-net",) if spec.network else ())]
        if root := exported.root(spec.image) if spec.image else self._base:
            view += [*root_image.shown(root, spec.workdir), *rootfs.portable_python(self._python)]
        else:
            view += [*rootfs.system(), *rootfs.etc(spec.network), *rootfs.python(self._python)]
        view += [*rootfs.KERNEL, *rootfs.DEVICES, "--bind", str(folder / "tmp"), "/tmp"]
        if root is None:
            view += ["--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--dir", "/run"]
        for place, target in rootfs.LINKS:
            view += ["--symlink", target, place]
        view += ["--bind", str(repo), spec.workdir]
        if spec.network:
            env, paths = network.passed_on()
            view += _mounts([Mount(path, str(path)) for path in paths])
            for name, value in env.items():
                view += ["--setenv", name, value]
        view += _mounts(spec.mounts)
        if spec.socket:
            view += ["--ro-bind", str(spec.socket.absolute()), GATEWAY]
        return [*view, *(() if root else rootfs.SEALED), "--remount-ro", "/"]


def _mounts(mounts: Sequence[Mount]) -> list[str]:
    view: list[str] = []
    for mount in mounts:
        view += ["--bind" if mount.writable else "--ro-bind", str(mount.source.absolute()), mount.target]
    return view


def _fill(folder: Path, spec: Spec, overlaid: bool) -> None:
    """Make the box's own layers in `folder`: empty ones, a copy of the repository, or those of a snapshot."""
    if overlaid and spec.repo:
        (folder / "lower").symlink_to(spec.repo.absolute())
    if spec.snapshot:
        kept = cache_dir("snapshot") / spec.snapshot.name
        if spec.snapshot.sandbox != "bubblewrap" or not kept.is_dir():
            raise SandboxError(f"no snapshot {spec.snapshot.name} of a box of bubblewrap")
        for part in ("upper", "tmp"):
            duplicate(kept / part, folder / part)
        return
    for part in ("upper", "tmp/home"):
        (folder / part).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    if overlaid and spec.repo:
        (folder / "upper").chmod(spec.repo.stat().st_mode & 0o777)
    elif spec.repo:
        _copy(spec.repo, folder / "upper")


_overlay_works: dict[Path, bool] = {}


def _overlays(top: Path) -> bool:
    """Whether overlays can be mounted over folders below `top`; tried once."""
    if top not in _overlay_works:
        trial = top / f"trial-{secrets.token_hex(4)}"
        for part in ("lower", "upper", "work"):
            (trial / part).mkdir(parents=True)
        script = f"{OVERLAY}: >../merged/file"
        try:
            done = subprocess.run([*UNSHARE, "/bin/sh", "-c", script], cwd=trial, capture_output=True, check=False)
            _overlay_works[top] = done.returncode == 0 and (trial / "upper" / "file").exists()
        except FileNotFoundError:
            _overlay_works[top] = False
        remove(trial)
    return _overlay_works[top]


def _copy(repo: Path, target: Path) -> None:
    """Copy a repository so that the box owns it; somebody else's files could not be changed through an overlay."""
    command = ["cp", "-dR", "--preserve=mode,timestamps,links", "--reflink=auto", "--", f"{repo}/.", str(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-200:]
        raise SandboxError(f"the repository could not be copied into a box: {said}")


def _remedy() -> str:
    """A hint on what most likely forbids boxes on this machine."""
    for file, bad, remedy in (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
         "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
    ):  # fmt: skip
        path = Path(file)
        if path.exists() and path.read_text().strip() == bad:
            return remedy
    return "user and mount namespaces are needed; in a container run it privileged or without its seccomp profile"
