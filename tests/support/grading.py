"""A small project with a bug as a task, as kat-build-env would make it, and patches against it.

`add` subtracts: `test_add` is FAIL_TO_PASS, `test_sub` PASS_TO_PASS. Test files, test configuration and the test
command are those that build_env records, so that what is tested here is what a real task has.
"""

from __future__ import annotations

import base64
import functools
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from katcore.build_env.recipe import pytest_config, test_command
from katcore.build_env.test_files import wanted_files
from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.environment.pip import resolve
from katcore.errors import SandboxError
from katcore.pool import Item
from katcore.records import Environment, Scaffold, Task, TaskSource, Trajectory, Verdict, Verification, encode
from katcore.sandbox import Spec
from katcore.verify import Attempt, Grader, Verifier

Files = Mapping[str, str | Path | None]
"""Name -> text, where a link leads, or None: deleted."""

CALM = "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n"
FIXED = CALM.replace("a - b", "a + b", 1)
TEST = "from calm import add, sub\n\ndef test_add():\n    assert add(1, 2) == 3\n\n"
TEST += "def test_sub():\n    assert sub(3, 2) == 1\n"
BASE: dict[str, str] = {
    "pyproject.toml": '[project]\nname = "calm"\nversion = "1"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
    "setup.cfg": "[metadata]\nname = calm\n",
    "calm/__init__.py": CALM,
    "tests/test_calm.py": TEST,
}
F2P, P2P = "tests/test_calm.py::test_add", "tests/test_calm.py::test_sub"


class Dead:
    """A sandbox under the name of the real one whose boxes never start."""

    name = "bubblewrap"

    def check(self) -> None:
        pass

    def create(self, spec: Spec) -> NoReturn:
        raise SandboxError("no box today")


def archive(files: Mapping[str, str]) -> str:
    """A data URL of the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return "data:application/x-tar;base64," + base64.b64encode(buffer.getvalue()).decode()


def patch(new: Files, base: Mapping[str, str] = BASE) -> str:
    """git's diff from `base` to it with `new` written over it."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
        _write(Path(folder), base)
        subprocess.run([*git, "add", "-A", "-f"], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-qm", "base"], cwd=folder, check=True)
        _write(Path(folder), new)
        subprocess.run([*git, "add", "-A", "-f"], cwd=folder, check=True)
        flags = ["diff", "--cached", "--binary", "--full-index"]
        return subprocess.run([*git, *flags], cwd=folder, check=True, capture_output=True).stdout.decode()


def _write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        elif text is None or isinstance(text, Path):
            path.unlink(missing_ok=True)
        if isinstance(text, Path):
            path.symlink_to(text)
        elif text is not None:
            path.write_text(text)


GOLD = patch({"calm/__init__.py": FIXED})


@functools.cache
def environment_with_pytest() -> Environment:
    """An environment with pytest from the index, not built yet."""
    lock = sorted(
        f"{p['metadata']['name']}=={p['metadata']['version']} "
        f"--hash=sha256:{p['download_info']['archive_info']['hashes']['sha256']}"
        for p in resolve(["pytest"])
    )
    where = (this_base(), this_platform())
    return Environment(base=where[0], platform=where[1], lock=lock, digest=environment_digest(*where, lock))


def calm_task(environment: Environment, name: str = "calm-1", base: Mapping[str, str] = BASE) -> Task:
    """The task, with test files and a test command as build_env makes them."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), base)
        test_files = wanted_files(Path(folder), ["tests/test_calm.py"], [])
        command = test_command(pytest_config(Path(folder)), ["tests"])
    fields = {name: getattr(environment, name) for name in ("base", "platform", "lock", "digest")}
    return Task(
        instance_id=name,
        repo="calm",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline", url=archive(base)),
        environment=Environment(**fields, test_command=command, env={"PYTHONPATH": "/tmp/kat-site:/testbed"}),
        verification=Verification(FAIL_TO_PASS=[F2P], PASS_TO_PASS=[P2P]),
        test_files=test_files,
    )


def trajectory(patch: str | None, name: str = "a", task_id: str = "calm-1") -> Trajectory:
    """An attempt that ended with this patch."""
    scaffold = Scaffold(name="bash-loop", version="1")
    return Trajectory(id=name, task_id=task_id, group_id=task_id, scaffold=scaffold, model="m", patch=patch)


def grade(task: Task, patch: str | None, **grader: object) -> Verdict:
    """The verdict on a patch, nothing taken from the cache unless `reuse` says so; without what it only looks like."""
    settings = {"reuse": False, "timeout_s": 60.0} | grader
    graded = Verifier(Grader(**settings)).graded(trajectory(patch), task)  # type: ignore[arg-type]
    assert graded.verdict is not None
    graded.verdict.flags = [flag for flag in graded.verdict.flags if not flag.startswith("looks:")]
    return graded.verdict


def item(task: Task | None, attempt: Trajectory) -> Item:
    """What a Verifier is called with."""
    return Item(f"kat.trajectory/1:{attempt.id}", Attempt(attempt, encode(attempt), task))
