"""A task of KAT's own as a Harbor task that runs under the real `harbor`.

In: a task whose environment is a recipe of ours (an interpreter, pinned wheels, a repository at its base). Out: the
files of a folder. `environment/` builds the image: the repository with its one commit, and the wheels at `/opt/env`,
brought along where asked so that building needs no package index. `tests/` has the task itself, the runner, and the
very modules that read reports and judge outcomes here. `solution/` applies the known patch. What the agent's container
sees before it has finished is `environment/` alone.
"""

from __future__ import annotations

import importlib.resources
import json
import tarfile
import tempfile
from pathlib import Path

from katcore.dataset import files
from katcore.dataset.harbor import NAME, RECIPE, toml_of
from katcore.disk.in_box import program
from katcore.environment import pip
from katcore.environment.clock import CLOCK
from katcore.environment.variables import RUN_ENV
from katcore.environment.workspace import workspace
from katcore.errors import RecordError
from katcore.records import Json, Task, TestFile, encode
from katcore.sandbox import ENV, PYTHON
from katcore.source import quoting
from katcore.source.git import GIT_ENV
from katcore.testrun.run import PLUGIN, PLUGIN_SOURCE, REPORT_VARIABLE

IMAGES = {"cpython": "python:{version}-slim-bookworm"}
"""The base image of an interpreter where none is named."""
MODULES = ("grade.py", "reports/__init__.py", "reports/outcome.py", "reports/markup.py", "reports/junit.py")
DOCKERFILE = """\
FROM {base}
RUN command -v git >/dev/null || (apt-get update && apt-get install -y --no-install-recommends git)
RUN mkdir -p {python_folder} && ln -sf "$(command -v python3)" {python} && python3 -m venv {env}
COPY wheels /opt/kat-build
RUN if [ -s /opt/kat-build/lock.txt ]; then {env}/bin/python -m pip install --no-cache-dir --no-deps \\
    --require-hashes {index} --requirement /opt/kat-build/lock.txt; fi && rm -rf /opt/kat-build
ADD repo.tar {workdir}
WORKDIR {workdir}
"""
TEST_SH = f"""#!/bin/bash
# Writes 1 to /logs/verifier/reward.txt when every test of the task passes, else 0.
mkdir -p /logs/verifier
echo 0 > /logs/verifier/reward.txt
exec {PYTHON} -I /tests/run_tests.py
"""
SOLVE_SH = """#!/bin/bash
set -eu
cd {workdir}
git -c safe.directory='*' apply --whitespace=nowarn /solution/gold.patch
"""


def rows_needed(task: Task) -> bool:
    """Whether the task is ours to build: one that came as a Harbor folder has its own files."""
    return task.environment.recipe != RECIPE


def folder(task: Task, *, image: str = "", wheels: bool = False) -> Json:
    """The files of the task's folder. RecordError for a task that a recipe of ours did not make."""
    if (
        task.verification.kind != "tests"
        or task.environment.report.kind != "junit"
        or not task.verification.FAIL_TO_PASS
    ):
        raise RecordError("export", "only tasks verified by tests with a JUnit report can be exported to harbor")
    if CLOCK in task.environment.env:
        raise RecordError("export", "a task with a clock of its own cannot be exported: only KAT's boxes have it")
    place = task.environment
    row: Json = {
        NAME: task.instance_id,
        "task.toml": _file(toml_of(task, built=True)),
        "instruction.md": _file(task.problem_statement),
        "tests/test.sh": _file(TEST_SH, "100755"),
        "tests/run_tests.py": _file(program("katcore.dataset", "harbor_runner")),
        "tests/task.json": _file(encode(task).decode()),
        "tests/config.json": _file(json.dumps(_config(task), indent=1)),
        "tests/katcore/__init__.py": _file(""),
        "tests/katcore/testrun/__init__.py": _file(""),
        "solution/solve.sh": _file(SOLVE_SH.format(workdir=place.workdir), "100755"),
        "solution/gold.patch": _file(task.patch),
    }
    row |= {f"tests/katcore/testrun/{name}": _file(_resource("katcore.testrun", name)) for name in MODULES}
    return row | {f"environment/{name}": file for name, file in context(task, image=image, wheels=wheels).items()}


def context(task: Task, *, image: str = "", wheels: bool = False) -> Json:
    """What the task's image is built from: a Dockerfile, the repository, the lock. RecordError without a base image."""
    place = task.environment
    interpreter, _, version = place.base.partition("-")
    base = image or place.image or IMAGES.get(interpreter, "").format(version=version)
    if not base:
        raise RecordError("export", f"no image is known for the base {place.base!r}; name one with --image")
    dockerfile = DOCKERFILE.format(
        base=base, workdir=place.workdir, env=ENV, python=PYTHON, python_folder=PYTHON.rpartition("/")[0],
        index="--no-index --find-links /opt/kat-build" if wheels else "",
    )  # fmt: skip
    found = {"Dockerfile": _file(dockerfile), "repo.tar": files.entry(_repository(task))}
    return found | {f"wheels/{name}": file for name, file in _wheels(task, wheels).items()}


def _config(task: Task) -> Json:
    place = task.environment
    return {
        "workdir": place.workdir,
        "setup": place.setup,
        "test_command": place.test_command,
        "report": place.report.path,
        "report_variable": REPORT_VARIABLE,
        "env": {**RUN_ENV, **place.env},
        "plugin": [PLUGIN, PLUGIN_SOURCE],
        "FAIL_TO_PASS": task.verification.FAIL_TO_PASS,
        "PASS_TO_PASS": task.verification.PASS_TO_PASS,
        "test_files": {quoting.place(name): _wanted(file) for name, file in task.test_files.items()},
        "git_env": GIT_ENV,
    }  # fmt: skip


def _wanted(file: TestFile) -> Json | None:
    """A test file, None where it shall be absent."""
    return None if file.text is None and file.base64 is None else files.from_test_file(file)


def _wheels(task: Task, bring: bool) -> Json:
    lock = task.environment.lock
    found: Json = {"lock.txt": _file("".join(f"{line}\n" for line in lock))}
    if bring and lock:
        with tempfile.TemporaryDirectory(prefix="kat-wheels-") as top:
            try:
                pip.download(lock, Path(top))
            except pip.Unsatisfiable as error:
                raise RecordError("export", f"the lock cannot be had from the index: {error}") from error
            found |= {path.name: files.entry(path.read_bytes()) for path in sorted(Path(top).glob("*.whl"))}
    return found


def _repository(task: Task) -> bytes:
    """The workspace with its one commit as a tar archive, the same bytes for the same files."""
    with tempfile.TemporaryFile() as spool:
        with tarfile.open(fileobj=spool, mode="w") as tar:
            tar.add(workspace(task.source), arcname=".", filter=_plain)
        spool.seek(0)
        return spool.read()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member.replace(uid=0, gid=0, uname="", gname="", mtime=0, mode=mode, deep=False)


def _resource(package: str, name: str) -> str:
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _file(text: str, mode: str = "100644") -> Json:
    return {"text": text, "mode": mode}
