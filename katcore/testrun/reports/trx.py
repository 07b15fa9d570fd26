"""TRX, the XML of `dotnet test --logger trx`.

An id is `<namespace.Class>::<test(parameters)>`: the class is in the test's definition, the name with the values of a
row is in its result. An outcome that the schema does not know as passed, failed or left out is an ERROR.
"""

from __future__ import annotations

import re

from katcore.testrun.reports.markup import walk
from katcore.testrun.reports.outcome import MAX_TESTS, BadReport, Outcomes, Status

_STATUS: dict[str, Status] = {
    "Passed": "PASSED", "PassedButRunAborted": "ERROR", "Failed": "FAILED", "NotExecuted": "SKIPPED",
    "Inconclusive": "SKIPPED",
}  # fmt: skip
_DURATION = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d+)?)")


class _Reader:
    def __init__(self) -> None:
        self.root = ""
        self.results: list[dict[str, str]] = []
        self.classes: dict[str, str] = {}
        self.summary = ""
        self._test = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.root = self.root or tag
        if tag == "UnitTestResult":
            self.results.append(attributes)
            if len(self.results) > MAX_TESTS:
                raise BadReport(f"the report has more than {MAX_TESTS} tests")
        elif tag == "UnitTest":
            self._test = attributes.get("id", "")
        elif tag == "TestMethod":
            self.classes[self._test] = attributes.get("className", "").split(",")[0]  # the assembly comes after it
        elif tag == "ResultSummary":
            self.summary = attributes.get("outcome", "")

    def end(self, tag: str) -> None:
        if tag == "UnitTest":
            self._test = ""


def read_trx(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test. Raises BadReport."""
    reader = _Reader()
    walk(data, reader.start, reader.end)
    if reader.root != "TestRun":
        raise BadReport(f"the report's root is {reader.root!r}, not TestRun")
    outcomes = Outcomes()
    for result in reader.results:
        known = reader.classes.get(result.get("testId", ""), "")
        name = result.get("testName", "").removeprefix(f"{known}.")
        test = f"{known}::{name}" if known else name
        outcomes.add(test, _STATUS.get(result.get("outcome", ""), "ERROR"), _seconds(result.get("duration", "")))
    if not reader.summary:
        raise BadReport("the report does not say how the run ended")
    return outcomes


def _seconds(duration: str) -> float | None:
    match = _DURATION.fullmatch(duration)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None
