"""The JSON of `jest --json`, which `vitest --reporter=json` writes too.

An id is `<file>::<describe>::<title>`, the file relative to the repository. A file that cannot be run is an ERROR under
its own name. A title that is a template gets its values from the runner: `test.each` without one repeats its id.
"""

from __future__ import annotations

from msgspec import Struct

from katcore.testrun.reports.json_shapes import decoded
from katcore.testrun.reports.outcome import BadReport, Outcomes, Status, checked, relative

_STATUS: dict[str, Status] = {
    "passed": "PASSED", "failed": "FAILED", "pending": "SKIPPED", "skipped": "SKIPPED", "todo": "SKIPPED",
    "disabled": "SKIPPED",
}  # fmt: skip


class _Test(Struct, rename="camel", gc=False):
    title: str
    status: str
    ancestor_titles: list[str] = []
    duration: float | None = None


class _File(Struct, rename="camel", gc=False):
    name: str
    status: str
    assertion_results: list[_Test]


class _Report(Struct, rename="camel", gc=False):
    test_results: list[_File]
    num_total_tests: int


def read_jest(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test. Raises BadReport."""
    report = decoded(checked(data), _Report)
    outcomes = Outcomes()
    for file in report.test_results:
        name = relative(file.name, root)
        for test in file.assertion_results:
            if test.status not in _STATUS:
                raise BadReport(f"the report has a test that is {test.status!r}")
            titles = [title for title in test.ancestor_titles if title]
            seconds = None if test.duration is None else test.duration / 1000
            outcomes.add("::".join([name, *titles, test.title]), _STATUS[test.status], seconds)
        if file.status == "failed" and all(test.status != "failed" for test in file.assertion_results):
            outcomes.add(name, "ERROR")
    if (listed := sum(len(file.assertion_results) for file in report.test_results)) != report.num_total_tests:
        raise BadReport(f"the report lists {listed} tests and counts {report.num_total_tests}")
    return outcomes
