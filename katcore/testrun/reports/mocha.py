"""The JSON of `mocha --reporter json`.

An id is `<file>::<full title>`. A hook that fails is an ERROR under its own title; the tests that it kept from running
are not in the report.
"""

from __future__ import annotations

import re

from msgspec import Struct

from katcore.testrun.reports.json_shapes import decoded
from katcore.testrun.reports.outcome import BadReport, Outcomes, Status, checked, relative

_HOOK = re.compile(r'"(before|after)( each| all)" hook')


class _Test(Struct, rename="camel", gc=False):
    title: str
    full_title: str
    file: str | None = None
    duration: float | None = None


class _Stats(Struct, gc=False):
    passes: int
    pending: int
    failures: int


class _Report(Struct, gc=False):
    stats: _Stats
    passes: list[_Test]
    pending: list[_Test]
    failures: list[_Test]


def read_mocha(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test. Raises BadReport."""
    report = decoded(checked(data), _Report)
    outcomes = Outcomes()
    groups: tuple[tuple[list[_Test], Status, int], ...] = (
        (report.passes, "PASSED", report.stats.passes),
        (report.pending, "SKIPPED", report.stats.pending),
        (report.failures, "FAILED", report.stats.failures),
    )
    for tests, status, count in groups:
        if len(tests) != count:
            raise BadReport(f"the report lists {len(tests)} tests that are {status} and counts {count}")
        for test in tests:
            seconds = None if test.duration is None else test.duration / 1000
            broken: Status = "ERROR" if status == "FAILED" and _HOOK.match(test.title) else status
            file = relative(test.file or "", root)
            outcomes.add(f"{file}::{test.full_title}" if file else test.full_title, broken, seconds)
    return outcomes
