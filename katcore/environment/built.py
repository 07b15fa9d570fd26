"""Built environments: made once from a task's lock, shared by every task with the same one, mounted read-only.

In: `Environment` of a task. Out: a folder of this machine that belongs at `/opt/env` in a box. Wheels are fetched with
the user's pip, checked against the lock's hashes, and installed inside a box without a network, so that no package's
code runs outside and every script has the right path. The project under test is never installed here.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.environment import clock, pip
from katcore.errors import KatError, RecordError, SandboxError
from katcore.records import Environment
from katcore.sandbox import ENV, PYTHON, Box, Limits, Mount, Sandbox, Spec

BUILD = "/opt/kat-build"
STAMP = ".kat-complete"


def this_base() -> str:
    """The interpreter of this machine's boxes, as `Environment.base` names it."""
    return f"{platform.python_implementation().lower()}-{sys.version_info.major}.{sys.version_info.minor}"


def this_platform() -> str:
    """This machine, as `Environment.platform` names it."""
    return f"{sys.platform}-{platform.machine()}"


def environment_digest(base: str, where: str, lock: Iterable[str]) -> str:
    """The name of a built environment: a function of interpreter, platform and lock."""
    return digest_of("env/1", base, where, *sorted(lock))


def ensure_environment(environment: Environment, sandbox: Sandbox) -> Path:
    """The built environment, from the cache or built from the lock alone. RecordError when it cannot be built here."""
    if environment.base != this_base() or environment.platform != this_platform():
        wanted, here = f"{environment.base} {environment.platform}", f"{this_base()} {this_platform()}"
        raise RecordError("environment", f"the task needs {wanted}; this machine has {here}")
    digest = environment_digest(environment.base, environment.platform, environment.lock)
    if environment.digest and environment.digest != digest:
        raise RecordError("environment", "the environment's digest does not belong to its lock")
    final = cache_dir("env") / digest
    if (final / STAMP).exists():
        return final
    with locked(final):
        if not (final / STAMP).exists():
            _build(environment.lock, sandbox, final)
    return final


def _build(lock: list[str], sandbox: Sandbox, final: Path) -> None:
    with fresh("env") as made, fresh("env") as wheels:
        try:
            pip.download(lock, wheels)
        except pip.Unsatisfiable as error:
            raise RecordError("environment", f"the lock cannot be had from the index: {error}") from error
        mounts = (
            Mount(made, ENV, writable=True),
            Mount(wheels, f"{BUILD}/wheels"),
            Mount(_pip_package(), f"{BUILD}/pip/pip"),
        )
        box = sandbox.create(Spec("env", mounts=mounts, limits=Limits(cpu_s=1800)))
        try:
            _install(box, bool(lock))
        finally:
            box.close()
        (made / STAMP).touch()
        publish(made, final)


def _install(box: Box, anything: bool) -> None:
    steps = [[PYTHON, "-m", "venv", "--without-pip", ENV]]
    if anything:
        flags = ["--quiet", "--no-deps", "--require-hashes", "--no-index", "--no-cache-dir", "--find-links"]
        what = [f"{BUILD}/wheels", "--requirement", f"{BUILD}/wheels/lock.txt"]
        steps.append([f"{ENV}/bin/python", "-m", "pip", "install", *flags, *what])
    for step in steps:
        env = {"PYTHONPATH": f"{BUILD}/pip", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": "/dev/null"}
        done = box.exec(step, cwd="/tmp", env=env, timeout_s=1200)
        if done.code != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()[-600:]
            raise SandboxError(f"building the environment: {' '.join(step[:4])} ended with {done.code}: {said}")


def _pip_package() -> Path:
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise KatError("this Python has no pip", hint=f"{sys.executable} -m ensurepip")
    return Path(found.origin).parent


def environment_mounts(environment: Environment, sandbox: Sandbox) -> tuple[Mount, ...]:
    """What a box for this task mounts: the environment at `/opt/env`, built first if need be, and its clock.

    A task of another dataset names no interpreter and pins nothing: its boxes have their own programs, or those of its
    image.
    """
    own = clock.mounts(environment)
    if environment.base or environment.lock:
        return (Mount(ensure_environment(environment, sandbox), ENV), *own)
    runs = re.search(r"^\s*RUN\b", environment.dockerfile or "", re.MULTILINE | re.IGNORECASE)
    if runs and not environment.image and not _own_base(sandbox):
        why = f"kat-mine tasks --build builds it, or {_base_variable(sandbox)} names it"
        raise RecordError("environment", f"the task needs an image built from its Dockerfile: {why}")
    return own


def box_spec(
    name: str,
    environment: Environment,
    repo: Path | None,
    sandbox: Sandbox,
    *,
    mounts: tuple[Mount, ...] = (),
    env: Mapping[str, str] | None = None,
    socket: Path | None = None,
    limits: Limits | None = None,
) -> Spec:
    """What a box for a task is made of, its environment built first if need be. Raises RecordError and SandboxError."""
    return Spec(
        name,
        repo=repo,
        workdir=environment.workdir,
        mounts=(*environment_mounts(environment, sandbox), *mounts),
        env=env or {},
        socket=socket,
        image="" if _own_base(sandbox) else environment.image or "",
        limits=limits or Limits(),
    )


def _base_variable(sandbox: Sandbox) -> str:
    return f"KAT_{sandbox.name.upper()}_BASE"


def _own_base(sandbox: Sandbox) -> bool:
    """Whether the user says what all boxes are made of."""
    return bool(os.environ.get(_base_variable(sandbox)))
