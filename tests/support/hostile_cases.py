"""What attacks on grading share."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

import pytest

from katcore.options.boxes import BoxOptions
from katcore.records import Task, Verdict
from katcore.sandbox import limits, owner
from katcore.testrun.guard import Guard
from katcore.verify import grader
from katcore.verify.forgery import Finding
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from tests.support.grading import BASE, CALM, F2P, P2P, grade, patch

FAILS = "1 FAIL_TO_PASS and 0 PASS_TO_PASS tests did not pass"
HARMLESS = patch({"calm/notes.py": "x = 1\n"})
"""A change that stays when the rest is dropped."""
HOOK = """
import _pytest.reports as reports
def pytest_runtest_makereport(item, call):
    call.excinfo = None
    return reports.TestReport.from_item_and_call(item, call)
"""
"""A pytest plugin to which every test has passed."""
REPORT = "<testsuites><testsuite>" + "".join(
    f'<testcase name="{test}"><properties><property name="kat.nodeid" value="{test}"/></properties></testcase>'
    for test in (F2P, P2P)
)
REPORT += "</testsuite></testsuites>"
FORGE = f"""
import os
if "KAT_REPORT" in os.environ:
    with open(os.environ["KAT_REPORT"] + "/report.xml", "w") as file:
        file.write({REPORT!r})
    os._exit(0)
"""
"""Source that writes the report that it wants and ends the run with success."""


def source(extra: str) -> str:
    """A patch of the source module, with the bug left in: code that runs when the tests import it."""
    return patch({"calm/__init__.py": CALM + extra})


@dataclass
class Attack:
    """Grades attacks on one task in one kind of sandbox."""

    task: Task
    kind: str
    monkeypatch: pytest.MonkeyPatch

    def fails(self, attack: str, task: Task | None = None) -> Verdict:
        """The verdict with all guards: no reward, and no excuse."""
        verdict = grade(task or self.task, attack, sandbox=self.kind)
        assert (verdict.reward, verdict.passed, verdict.masked) == (0.0, False, False), verdict
        return verdict

    def dropped(self, attack: str, *names: str) -> None:
        """What reaches into the run is dropped, the rest is graded as if it had never been there."""
        verdict = self.fails(HARMLESS + attack)
        assert verdict.flags == [f"dropped:{name}" for name in names]
        assert verdict.reason == FAILS and verdict.evidence["counts"] == {"FAILED": 1, "PASSED": 1}

    def unguarded(self, attack: str, *guards: str, task: Task | None = None) -> Verdict:
        """The verdict without these guards: `files` drops files of a patch, `tests` restores the task's own, `control`
        repeats what passed with wrong expectations."""
        with self.monkeypatch.context() as patched:
            if "files" in guards:
                patched.setattr(Guard, "reaches", lambda *_: False)
            if "tests" in guards:
                patched.setattr("katcore.testrun.run.restore", lambda *_: None)
            if "control" in guards:
                patched.setattr(grader.Grader, "_forged", lambda *_: Finding())
            return Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox=self.kind), timeout=60.0)).grade(
                task or self.task, attack
            )

    def works(self, attack: str, *guards: str, task: Task | None = None) -> None:
        """The attack has its reward where these guards are missing."""
        verdict = self.unguarded(attack, *guards, task=task)
        assert (verdict.reward, verdict.reason) == (1.0, "passed"), verdict


def running_boxes() -> list[str]:
    """What this machine and its engine have of this process's boxes; other tests run beside it."""
    mine = owner.owned()
    found = [str(path) for path in mine.glob("*-*")]
    found += [str(path) for place in limits.parents() for path in place.glob(f"{limits.PREFIX}*{mine.name}-hostile-*")]
    if os.environ.get("DOCKER_HOST"):
        command = ["docker", "ps", "--all", "--quiet", "--filter", "label=kat.box=hostile"]
        command += ["--filter", f"label=kat.owner={mine.name}"]
        found += subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return sorted(found)


__all__ = ["BASE", "CALM", "F2P", "P2P", "Attack", "patch", "source"]
