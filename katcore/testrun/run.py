"""Put a patch and the task's own test files into a box, run the tests, and say what is known for certain.

In: a fresh box whose repository is the base commit. Out: `TestRun`: an outcome per test, or the reason why the run
proves nothing. How the task's runner is called, and what its report and exit status mean, is in `runners.py`. The
report lies in a folder of a random name outside the repository; a run whose exit status and report contradict each
other is not trusted.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

from katcore.disk.cache import digest_of
from katcore.disk.in_box import program
from katcore.environment.patch import apply_in_box
from katcore.environment.variables import run_env
from katcore.errors import RecordError, SandboxError
from katcore.records import Environment, TestFile
from katcore.sandbox import PYTHON, Box, Result
from katcore.source.quoting import place
from katcore.testrun.reports.outcome import BROKEN, BadReport, Outcomes, Status
from katcore.testrun.runners import Runner, runner_of, units_of

REPORT_VARIABLE = "KAT_REPORT"
"""The environment variable with the report's folder, for `Environment.test_command`."""
PLUGIN = "kat_nodeid"
"""The name of the pytest plugin that writes node ids into the report; on the path of every run."""
LOG_TAIL = 4000

PLUGIN_SOURCE = program("katcore.testrun", PLUGIN)


@dataclass(frozen=True)
class TestRun:
    """One run of the tests. `problem` is empty, or why the outcomes may not be used (they are then empty).

    `durations`: seconds of each test, where the report says. `repeated`: ids that stand for several entries of the
    report, the worst of which counts.
    """

    __test__: ClassVar[bool] = False
    outcomes: dict[str, Status] = field(default_factory=dict)
    exit_code: int = 0
    seconds: float = 0.0
    timed_out: bool = False
    report_found: bool = False
    log_tail: str = ""
    problem: str = ""
    durations: dict[str, float] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Status -> number of tests, sorted by status."""
        return dict(sorted(Counter(self.outcomes.values()).items()))

    def digest(self) -> str:
        """A hash of the outcomes: the same for two runs with the same results, whatever their times."""
        return digest_of(*(f"{test}\0{status}" for test, status in sorted(self.outcomes.items())))


def prepare(
    box: Box, environment: Environment, *, patch: str = "", test_files: Mapping[str, TestFile] | None = None
) -> str:
    """Apply the patch, write the task's test files over it, run the set-up, write them again. The rung; BadPatch.

    A set-up command that fails raises RecordError: the code under test may be at fault (an extension that does not
    compile), so it is for the caller to say what that means.
    """
    rung = apply_in_box(box, patch)
    restore(box, test_files or {})
    for command in environment.setup:
        done = box.exec(command, env=run_env(environment, box), timeout_s=900)
        if done.code != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()[-500:]
            raise RecordError("setup", f"{command[:80]!r} ended with {done.code}: {said}")
    if environment.setup:  # it runs the attempt's code, which may have written over the tests
        try:
            restore(box, test_files or {})
        except _Unwritable as error:
            raise RecordError("setup", str(error)) from error
    return rung


class _Unwritable(SandboxError):
    """The error that files cannot be written in a box that otherwise works."""


def restore(box: Box, test_files: Mapping[str, TestFile]) -> None:
    """Write test files as the task wants them; what an attempt put in their place goes, folders and links included."""
    wanted: dict[str, tuple[str | None, str]] = {}
    for written, file in test_files.items():
        name = place(written)
        parts = PurePosixPath(name).parts
        if name.startswith("/") or not parts or ".." in parts or parts[0] == ".git":
            raise RecordError("test_files", f"{name!r} lies outside the repository")
        data = file.base64
        if data is None and file.text is not None:
            data = base64.b64encode(file.text.encode()).decode()
        wanted[name] = (data, file.mode)
    if not wanted:
        return
    command = [PYTHON, "-I", "-c", program("katcore.testrun", "restore")]
    done = box.exec(command, stdin=json.dumps(wanted).encode(), timeout_s=300)
    if done.code != 0:
        raise _Unwritable(f"test files could not be restored: {done.stderr.decode('utf-8', 'replace')[-300:]}")


def run_tests(box: Box, environment: Environment, timeout_s: float, *, tests: Sequence[str] = ()) -> TestRun:
    """Run the task's test command in a prepared box; with `tests`, only the files (packages, classes) that they lie in.

    Raises RecordError when nobody knows the task's runner, and when the set-up left a box that cannot be written to.
    """
    runner = runner_of(environment)
    folder = f"/tmp/kat-report-{secrets.token_hex(12)}"
    try:
        box.put(f"{folder}/plugin/{PLUGIN}.py", PLUGIN_SOURCE.encode())
        if runner.script:
            box.put(f"{folder}/script", runner.script.encode())
    except OSError as error:  # the set-up ran the attempt's code
        raise RecordError("setup", f"nothing can be written to /tmp any more: {error}") from error
    path = ":".join(filter(None, [f"{folder}/plugin", environment.env.get("PYTHONPATH", "")]))
    env = {**runner.env, **run_env(environment, box), REPORT_VARIABLE: folder, "PYTHONPATH": path}
    done = box.exec(_command(runner, environment, tests), env=env, timeout_s=timeout_s)
    tail = (done.stdout + done.stderr).decode("utf-8", "replace")[-LOG_TAIL:]
    own = environment.test_command and not runner.script
    name = environment.report.path if own else runner.report
    outcomes, problem = _believe(runner, environment, box, f"{folder}/{name}", done)
    found = problem not in ("timeout", "no_report")
    return TestRun(
        outcomes.statuses, done.code, done.seconds, done.timed_out, found, tail, problem,
        outcomes.seconds, outcomes.repeated,
    )  # fmt: skip


def _command(runner: Runner, environment: Environment, tests: Sequence[str]) -> list[str]:
    """The task's command or the runner's, with what to run as `$1`, `$2`, ...; a task's own that does not use them gets
    them at its end."""
    command = runner.command if runner.script else environment.test_command or runner.command
    units = runner.units(units_of(tests))
    if '"$@"' not in command and "${@" not in command:
        command += ' "$@"'
    return ["/bin/bash", "-c", command, "tests", *units]


def _report(box: Box, path: str) -> bytes | None:
    """The bytes of the report's file; None where there is none, or something that is not a file."""
    try:
        return box.get(path)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        # too large, shut, a link to what no box can read: whoever ran there put it in the report's place
        raise BadReport(f"it cannot be read: {error}") from error


def _believe(runner: Runner, environment: Environment, box: Box, path: str, done: Result) -> tuple[Outcomes, str]:
    """(outcomes, "") when exit status and report agree, else (no outcomes, the reason)."""
    if done.timed_out:
        return Outcomes(), "timeout"
    try:
        data = _report(box, path)
        if data is None:
            return Outcomes(), "no_report"
        outcomes = runner.read(data, environment.workdir)
    except BadReport as error:
        return Outcomes(), f"bad_report: {error}"
    if not outcomes.statuses:
        return Outcomes(), "no_tests"
    if not runner.agrees(done.code, outcomes):
        broken = any(status in BROKEN for status in outcomes.statuses.values())
        said = f"exit status {done.code} with {'a' if broken else 'no'} failure in the report"
        return Outcomes(), f"inconsistent: {said}"
    return outcomes, ""
