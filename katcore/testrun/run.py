"""Put a patch and the task's own test files into a box, run the tests, and say what is known for certain.

In: a fresh box whose repository is the base commit. Out: `TestRun`: an outcome per test, or the reason why the run
proves nothing. The report lies in a folder of a random name outside the repository; a run whose exit status and report
contradict each other is not trusted.
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

from katcore.cache import digest_of
from katcore.errors import RecordError, SandboxError
from katcore.records import Environment, TestFile
from katcore.sandbox import ENV, PYTHON, Box
from katcore.testrun import junit
from katcore.testrun.patch import apply_in_box

REPORT_VARIABLE = "KAT_REPORT"
"""The environment variable with the report's folder, for `Environment.test_command`."""
PLUGIN = "kat_nodeid"
"""The name of the pytest plugin that writes node ids into the report; on the path of every run."""
LOG_TAIL = 4000

RUN_ENV = {
    "PATH": f"/tmp/kat-site/bin:{ENV}/bin:/usr/local/bin:/usr/bin:/bin",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PIP_NO_INDEX": "1",
    "CI": "1",
}
"""What every test run sees, beneath `Environment.env`."""

PLUGIN_SOURCE = f'''
def pytest_collection_modifyitems(items):
    for item in items:
        item.user_properties.append(("{junit.NODE_ID}", item.nodeid))
'''

# a parent folder that an attempt turned into a link would lead the content astray: links are never followed
_RESTORE = """
import base64, json, os, shutil, sys
for name, (data, mode) in json.load(sys.stdin).items():
    at = "."
    for part in name.split("/")[:-1]:
        at = os.path.join(at, part)
        if os.path.lexists(at) and (os.path.islink(at) or not os.path.isdir(at)):
            os.unlink(at)
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name)
    elif os.path.lexists(name):
        os.unlink(name)
    if data is None:
        continue
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    content = base64.b64decode(data)
    if mode == "120000":
        os.symlink(content, name)
        continue
    with open(name, "wb") as file:
        file.write(content)
    os.chmod(name, 0o755 if mode == "100755" else 0o644)
"""


@dataclass(frozen=True)
class TestRun:
    """One run of the tests. `problem` is empty, or why the outcomes may not be used (they are then empty)."""

    __test__: ClassVar[bool] = False
    outcomes: dict[str, junit.Status] = field(default_factory=dict)
    exit_code: int = 0
    seconds: float = 0.0
    timed_out: bool = False
    report_found: bool = False
    log_tail: str = ""
    problem: str = ""

    def counts(self) -> dict[str, int]:
        """Status -> number of tests, sorted by status."""
        return dict(sorted(Counter(self.outcomes.values()).items()))

    def digest(self) -> str:
        """A name for the outcomes: the same for two runs with the same results, whatever their times."""
        return digest_of(*(f"{test}\0{status}" for test, status in sorted(self.outcomes.items())))


def prepare(
    box: Box, environment: Environment, *, patch: str = "", test_files: Mapping[str, TestFile] | None = None
) -> str:
    """Apply the patch, then write the task's test files over it, then run the set-up. The patch's rung; BadPatch.

    A set-up command that fails raises RecordError: the code under test may be at fault (an extension that does not
    compile), so it is for the caller to say what that means.
    """
    rung = apply_in_box(box, patch)
    restore(box, test_files or {})
    for command in environment.setup:
        done = box.exec(command, env={**RUN_ENV, **environment.env}, timeout_s=900)
        if done.code != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()[-500:]
            raise RecordError("setup", f"{command[:80]!r} ended with {done.code}: {said}")
    return rung


def restore(box: Box, test_files: Mapping[str, TestFile]) -> None:
    """Write test files as the task wants them; what an attempt put in their place goes, folders and links included."""
    wanted: dict[str, tuple[str | None, str]] = {}
    for name, file in test_files.items():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or not parts or ".." in parts or parts[0] == ".git":
            raise RecordError("test_files", f"{name!r} lies outside the repository")
        data = file.base64
        if data is None and file.text is not None:
            data = base64.b64encode(file.text.encode()).decode()
        wanted[name] = (data, file.mode)
    if not wanted:
        return
    done = box.exec([PYTHON, "-I", "-c", _RESTORE], stdin=json.dumps(wanted).encode(), timeout_s=300)
    if done.code != 0:
        raise SandboxError(f"test files could not be restored: {done.stderr.decode('utf-8', 'replace')[-300:]}")


def run_tests(box: Box, environment: Environment, *, tests: Sequence[str] = (), timeout_s: float = 1800.0) -> TestRun:
    """Run the task's test command in a prepared box; with `tests`, only the files that these ids lie in."""
    folder = f"/tmp/kat-report-{secrets.token_hex(12)}"
    report = f"{folder}/{environment.report.path}"
    box.put(f"{folder}/plugin/{PLUGIN}.py", PLUGIN_SOURCE.encode())
    command = environment.test_command
    if files := sorted({test.split("::", 1)[0] for test in tests}):
        command += " " + shlex.join(files)
    path = ":".join(filter(None, [f"{folder}/plugin", environment.env.get("PYTHONPATH", "")]))
    env = {**RUN_ENV, **environment.env, REPORT_VARIABLE: folder, "PYTHONPATH": path}
    done = box.exec(command, env=env, timeout_s=timeout_s)
    tail = (done.stdout + done.stderr).decode("utf-8", "replace")[-LOG_TAIL:]
    try:
        data: bytes | None = box.get(report)
    except FileNotFoundError:
        data = None
    outcomes, problem = _believe(data, done.code, done.timed_out)
    return TestRun(outcomes, done.code, done.seconds, done.timed_out, data is not None, tail, problem)


def _believe(data: bytes | None, code: int, timed_out: bool) -> tuple[dict[str, junit.Status], str]:
    """The outcomes when exit status and report agree, else none and the reason."""
    if timed_out:
        return {}, "timeout"
    if data is None:
        return {}, "no_report"
    try:
        outcomes = junit.read(data)
    except junit.BadReport as error:
        return {}, f"bad_report: {error}"
    broken = any(status in junit.BROKEN for status in outcomes.values())
    if not outcomes:
        return {}, "no_tests"
    if code not in (0, 1, 2) or broken == (code == 0):
        return {}, f"inconsistent: exit status {code} with {'a' if broken else 'no'} failure in the report"
    return outcomes, ""
