"""The events of `go test -json`: one JSON object per line, plain lines where a package does not build.

An id is `<package>::<TestName/sub-test>`; a package that fails without a failing test (it does not build, a test ended
the process, `TestMain` says so) is an ERROR under its own name. A test that began and never ended is an ERROR. The
events come from the text that the test program prints: code under test can print such text, as it can print any report.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from katcore.testrun.reports.json_shapes import decoded
from katcore.testrun.reports.outcome import BROKEN, BadReport, Outcomes, Status, checked

_BUILD_FAILED = re.compile(rb"FAIL\t(\S+) \[(?:build|setup) failed\]")
_STATUS: dict[str, Status] = {"pass": "PASSED", "bench": "PASSED", "fail": "FAILED", "skip": "SKIPPED"}


class _Event(Struct, rename="pascal", gc=False):
    action: str
    package: str = ""
    test: str = ""
    elapsed: float | None = None


class _Package:
    """What the events said about one package."""

    def __init__(self) -> None:
        self.tests: dict[str, tuple[Status, float | None] | None] = {}
        self.ended: Literal["", "pass", "fail", "skip"] = ""

    def take(self, event: _Event) -> None:
        status = _STATUS.get(event.action)
        if not event.test:
            if event.action in ("pass", "fail", "skip"):
                self.ended = event.action  # type: ignore[assignment]
        elif status is not None:
            self.tests[event.test] = (status, event.elapsed)
        elif event.action == "run":
            self.tests[event.test] = None

    def into(self, outcomes: Outcomes, name: str) -> None:
        if not self.ended:
            raise BadReport(f"the report does not say how package {name} ended")
        broken = False
        for test, known in self.tests.items():
            status, seconds = known or ("ERROR", None)
            broken |= status in BROKEN
            outcomes.add(f"{name}::{test}", status, seconds)
        if self.ended == "fail" and not broken:
            outcomes.add(name, "ERROR")


def read_gotest(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test. Raises BadReport."""
    packages: dict[str, _Package] = {}
    for line in checked(data).splitlines():
        if not line.startswith(b"{"):
            if failed := _BUILD_FAILED.fullmatch(line.rstrip()):
                packages.setdefault(failed[1].decode("utf-8", "backslashreplace"), _Package()).ended = "fail"
            continue
        event = decoded(line, _Event)
        if event.package:
            packages.setdefault(event.package, _Package()).take(event)
    outcomes = Outcomes()
    for name, package in packages.items():
        package.into(outcomes, name)
    return outcomes
