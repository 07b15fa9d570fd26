"""Small projects as tasks, as kat-build-env would make them, patches against them, and their grading; tests use it too.

Test files, test configuration and the test command are those that build_env records, so that what is measured and
tested is what a real task has.
"""

from __future__ import annotations

import base64
import functools
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from katcore.build_env.recipe import pytest_config, test_command
from katcore.build_env.test_files import wanted_files
from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.environment.pip import resolve
from katcore.options import build
from katcore.records import Environment, Scaffold, Task, TaskSource, Trajectory, Verdict, Verification
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from katcore.verify.verifier import Verifier

Files = Mapping[str, str | Path | None]
"""Name -> text, where a link leads, or None: deleted."""


def archive(files: Mapping[str, str]) -> str:
    """A data URL of the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return "data:application/x-tar;base64," + base64.b64encode(buffer.getvalue()).decode()


def patch(new: Files, base: Mapping[str, str]) -> str:
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


def small_task(
    environment: Environment, name: str, base: Mapping[str, str], fail_to_pass: Sequence[str],
    pass_to_pass: Sequence[str],
) -> Task:  # fmt: skip
    """The task of a project `calm` whose tests lie in `tests/`, with test files and a test command as build_env makes
    them: those of FAIL_TO_PASS are recorded even where they are not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), base)
        test_files = wanted_files(Path(folder), [test.partition("::")[0] for test in fail_to_pass], [])
        command = test_command(pytest_config(Path(folder)), ["tests"])
    fields = {name: getattr(environment, name) for name in ("base", "platform", "lock", "digest")}
    return Task(
        instance_id=name,
        repo="calm",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline", url=archive(base)),
        environment=Environment(**fields, test_command=command, env={"PYTHONPATH": "/tmp/kat-site:/testbed"}),
        verification=Verification(FAIL_TO_PASS=list(fail_to_pass), PASS_TO_PASS=list(pass_to_pass)),
        test_files=test_files,
    )


def trajectory(patch: str | None, name: str = "a", task_id: str = "calm-1") -> Trajectory:
    """An attempt that ended with this patch."""
    scaffold = Scaffold(name="bash-loop", version="1")
    return Trajectory(id=name, task_id=task_id, group_id=task_id, scaffold=scaffold, model="m", patch=patch)


def grade(task: Task, patch: str | None, **options: object) -> Verdict:
    """The verdict on a patch, nothing taken from the cache unless `reuse` says so; without what it only looks like."""
    settings = build(TestOptions, {"reuse": False, "timeout": 60.0} | options)
    graded = Verifier(Grader(settings)).graded(trajectory(patch), task)
    assert graded.verdict is not None
    graded.verdict.flags = [flag for flag in graded.verdict.flags if not flag.startswith("looks:")]
    return graded.verdict
