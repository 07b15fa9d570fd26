"""Boxes of Docker: containers of a real engine, local or behind `DOCKER_HOST`, with another runtime where one is named.

In: a spec. Out: a warm container, its repository copied on write from an image. Inside: user nobody, no capability, no
new privileges, system calls filtered, no network. A local engine mounts this machine's programs, interpreter and
environments read-only, as bubblewrap does, and the gateway's socket; a remote one gets them as layers of an image.
Limits are the engine's. A container ends with its runner, however that dies (`in_box/supervisor.py`).
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from katcore.disk.in_box import program
from katcore.errors import SandboxError
from katcore.sandbox import ENV, GATEWAY, PYTHON, SCAFFOLD, Box, Mount, Spec, network, owner, rootfs, seccomp
from katcore.sandbox.docker import exported
from katcore.sandbox.docker.box import DockerBox
from katcore.sandbox.docker.engine_api import api_errors, connect, is_local
from katcore.sandbox.docker.hijack import Stream, expect
from katcore.sandbox.docker.images import Images, skeleton
from katcore.sandbox.docker.in_box.supervisor import READY
from katcore.sandbox.docker.starting import written_down
from katcore.sandbox.interpreter import Python
from katcore.sandbox.limits import OPEN_FILES

BASE_VARIABLE, RUNTIME_VARIABLE = "KAT_DOCKER_BASE", "KAT_DOCKER_RUNTIME"
OWNER, CACHE = "kat.owner", "kat.cache"
_EXTRA_PIDS = 4
"""Processes added to a box's limit: the supervisor, and the engine's own while it starts another."""
_READY_S = 60.0


class Docker:
    """The sandbox of a Docker engine.

    `base` is a tarball of a root file system or the name of an image that the engine has; without it boxes see this
    machine's programs, which needs a local engine. `runtime` is one that the engine knows, `runsc` or `kata` for
    example. `layered` puts read-only folders into images instead of mounting them: always so with a remote engine.
    """

    name = "docker"

    def __init__(
        self, base: Path | str | None = None, runtime: str = "", python: Path | None = None, layered: bool | None = None
    ) -> None:
        named = os.environ.get(BASE_VARIABLE, "")
        self._base = base or (Path(named) if named.startswith("/") else named) or None
        self._runtime = runtime or os.environ.get(RUNTIME_VARIABLE, "")
        self._path = python
        self._layered = layered

    @cached_property
    def client(self) -> Any:
        """The SDK's client of the engine."""
        return connect()

    @cached_property
    def images(self) -> Images:
        """The engine's images."""
        return Images(self.client)

    @property
    def _local(self) -> bool:
        return is_local(self.client) and not self._layered

    @cached_property
    def _python(self) -> Python:
        return Python.of(self._path)

    def check(self) -> None:
        """Raise SandboxError with one clear line when no engine answers or it cannot run such boxes."""
        with api_errors("no Docker engine answers"):
            info = self.client.info()
        if info.get("OSType") != "linux":
            raise SandboxError(f"the Docker engine runs {info.get('OSType')} containers, not Linux")
        if self._runtime and self._runtime not in info.get("Runtimes", {}):
            raise SandboxError(f"the Docker engine has no runtime {self._runtime!r}")

    def create(self, spec: Spec) -> Box:
        """Start a box."""
        begun = time.monotonic()
        if spec.repo is not None and not spec.repo.is_dir():
            raise SandboxError(f"a box's repository is not a folder: {spec.repo}")
        if spec.socket and not is_local(self.client):
            raise SandboxError("a remote Docker engine cannot reach the gateway's socket")
        spec = exported.seen(spec)
        self.sweep()
        writable = [mount.source for mount in spec.mounts if mount.writable]
        owners = {source: source.stat().st_uid for source in writable}
        for source in writable:
            _chown(source, rootfs.USER)
        try:
            box = self._started(spec)
        except BaseException:
            _give_back(owners)
            raise
        box.when_closed = partial(_give_back, owners)
        box.boot_s = time.monotonic() - begun
        return box

    def sweep(self) -> list[str]:
        """Remove the containers of runners that are gone: those that the engine did not remove by itself."""
        from docker.errors import APIError

        top = owner.owned().parent
        gone = []
        with api_errors("the engine does not list its boxes"):
            found = self.client.containers(all=True, filters={"label": [OWNER, f"{CACHE}={top}"]})
            for container in found:
                if owner.held(top / container["Labels"][OWNER]):
                    continue
                try:
                    self.client.remove_container(container["Id"], force=True, v=True)
                except APIError as error:
                    if error.status_code not in (404, 409):
                        raise
                gone.append(container["Id"])
        return gone

    def _image(self, spec: Spec) -> str:
        """The image of a box, its layers made where they are missing."""
        if spec.snapshot:
            if spec.snapshot.sandbox != self.name:
                raise SandboxError(f"a snapshot of {spec.snapshot.sandbox} is none of {self.name}")
            return self.images.digest(spec.snapshot.name)
        root = self._root(spec)
        image = self.images.base(root, self._skeleton(root is None))
        if spec.image:
            image = self.images.emptied(image, spec.workdir)
        if not self._local:
            image = self.images.layer(image, "python", [(path, target, 0) for path, target in self._interpreter(spec)])
            shown = [(mount.source, mount.target, 0) for mount in spec.mounts if not mount.writable]
            if shown:
                image = self.images.layer(image, "env", shown)
        if spec.repo is not None:
            image = self.images.layer(image, "repo", [(spec.repo.absolute(), spec.workdir, rootfs.USER)])
        elif spec.workdir != "/testbed":
            with owner.empty_folder() as empty:
                image = self.images.layer(image, "repo", [(empty, spec.workdir, rootfs.USER)])
        self.images.used(image)
        return image

    def _root(self, spec: Spec) -> Path | str | None:
        """What a box's image is made of: the task's own image or archive, the base of all boxes, or None."""
        if not spec.image:
            if self._base is None and not is_local(self.client):
                raise SandboxError(
                    "a remote Docker engine needs a base image", hint=f"{BASE_VARIABLE}=IMAGE, or a tarball's path"
                )
            return self._base
        return exported.archive_of(spec.image) or self.images.present(spec.image)

    def _started(self, spec: Spec) -> DockerBox:
        name = f"kat-{re.sub('[^A-Za-z0-9_.-]', '_', spec.name)[:40]}-{secrets.token_hex(6)}"
        with api_errors("a box cannot be started"), written_down(name) as note:
            made, image = self._created(spec, name)
            note(made)
            try:
                how = {"stdin": 1, "stdout": 1, "stream": 1}
                control = Stream(self.client.attach_socket(made, params=how))
                self.client.start(made)
                if not expect(control, READY, _READY_S):
                    said = self.client.inspect_container(made)["State"]
                    raise SandboxError(f"a box does not come up: {said.get('Error') or said.get('Status')}")
            except BaseException:
                self.client.remove_container(made, force=True, v=True)
                raise
        return DockerBox(spec, self.client, made, image, control)

    def _created(self, spec: Spec, name: str) -> tuple[str, str]:
        """A container that is not started, and its image; made again when somebody evicted it in between."""
        from docker.errors import ImageNotFound

        last = 3
        for attempt in range(last + 1):
            image = self._image(spec)
            try:
                return self._container(spec, image, name), image
            except ImageNotFound:
                if attempt == last:
                    raise
        raise AssertionError("unreachable")

    def _container(self, spec: Spec, image: str, name: str) -> str:
        made = self.client.create_container(
            image,
            entrypoint=[PYTHON, "-I", "-S", "-c", program("katcore.sandbox.docker", "supervisor")],
            command=[],
            name=name,
            hostname="box",
            user=f"{rootfs.USER}:{rootfs.USER}",
            working_dir="/",
            stdin_open=True,
            labels={OWNER: owner.owned().name, CACHE: str(owner.owned().parent), "kat.box": spec.name},
            host_config=self._host_config(spec),
        )["Id"]
        return str(made)

    def _host_config(self, spec: Spec) -> Any:
        limits = spec.limits
        memory = limits.memory_mib << 20
        return self.client.create_host_config(
            binds=self._binds(spec),
            network_mode="host" if spec.network else "none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", f"seccomp={seccomp.profile()}"],
            pids_limit=limits.pids + _EXTRA_PIDS,
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(limits.cpus * 1e9) or None,
            ulimits=[
                {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            log_config={"Type": "none", "Config": {}},
            auto_remove=True,
            runtime=self._runtime or None,
        )

    def _binds(self, spec: Spec) -> list[str]:
        mounts = list(spec.mounts) if self._local else [mount for mount in spec.mounts if mount.writable]
        if mounts and not is_local(self.client):
            raise SandboxError("a remote Docker engine has no writable folders of this machine")
        bare = self._base is None and not spec.image
        shown = list(_shown(rootfs.system())) if bare else []
        if self._local:
            shown += self._interpreter(spec)
            if bare:
                shown += [
                    (Path(f"/etc/{name}").resolve(), f"/etc/{name}")
                    for name in rootfs.FROM_HOST
                    if Path("/etc", name).exists()
                ]
        if spec.network:
            shown += [(path, str(path)) for path in network.passed_on()[1]]
            shown += [
                (Path(f"/etc/{name}").resolve(), f"/etc/{name}")
                for name in ("ssl", "ca-certificates")
                if Path("/etc", name).exists()
            ]
        shown.append((Path(rootfs.empty()), "/sys"))
        if spec.socket:
            shown.append((spec.socket.absolute(), GATEWAY))
        mounts += [Mount(path, target) for path, target in shown]
        return [f"{m.source.absolute()}:{m.target}:{'rw' if m.writable else 'ro'}" for m in mounts]

    def _interpreter(self, spec: Spec) -> list[tuple[Path, str]]:
        based = self._base or spec.image
        return list(_shown((rootfs.portable_python if based else rootfs.python)(self._python)))

    def _skeleton(self, bare: bool) -> bytes:
        """A tar archive of what every box has of its own: mount points, places to write; if `bare` also an `/etc`."""
        folders = [
            (path, 0o755)
            for path in ("opt", "opt/python", "opt/python/bin", ENV, SCAFFOLD, "run", "run/kat", "var", "usr")
        ]
        folders += [("tmp", 0o1777), ("tmp/home", 0), ("testbed", 0)]
        links = [(place[1:], target) for place, target in rootfs.LINKS]
        files: list[tuple[str, bytes]] = []
        if bare:
            links.append(("var/tmp", "/tmp"))
            files += [(f"etc/{name}", text.encode()) for name, text in sorted(rootfs.ETC.items())]
            system = rootfs.system()
            links += [(system[i + 2], system[i + 1]) for i, word in enumerate(system) if word == "--symlink"]
            links.append(("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"))
        return skeleton(folders, links, files)


def _shown(arguments: tuple[str, ...]) -> list[tuple[Path, str]]:
    """Read-only folders among bubblewrap's arguments, an empty one for a tmpfs."""
    shown = []
    for i, word in enumerate(arguments):
        if word == "--ro-bind":
            shown.append((Path(arguments[i + 1]), arguments[i + 2]))
        elif word == "--tmpfs":
            shown.append((Path(rootfs.empty()), arguments[i + 1]))
    return shown


def _give_back(owners: Mapping[Path, int]) -> None:
    for source, user in owners.items():
        _chown(source, user)


def _chown(folder: Path, user: int) -> None:
    """Let the box write to a folder; a runner that is not root cannot, and needs folders that nobody may write to."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "-h", f"{user}:{user}", "--", str(folder)], check=False, capture_output=True)
