"""The JSON of `rspec --format json`.

An id is `<spec file>::<full description>`; the file is the one that was loaded, also for shared examples of another.
What fails outside of the examples (a file that does not load) has no name in the report: one ERROR stands for it.
"""

from __future__ import annotations

from msgspec import Struct

from katcore.testrun.reports.json_shapes import decoded
from katcore.testrun.reports.outcome import BadReport, Outcomes, Status, checked, relative

OUTSIDE = "rspec::outside of the examples"
_STATUS: dict[str, Status] = {"passed": "PASSED", "failed": "FAILED", "pending": "SKIPPED"}


class _Example(Struct, gc=False):
    id: str
    full_description: str
    status: str
    run_time: float | None = None


class _Summary(Struct, gc=False):
    example_count: int
    errors_outside_of_examples_count: int = 0


class _Report(Struct, gc=False):
    examples: list[_Example]
    summary: _Summary


def read_rspec(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every example. Raises BadReport."""
    report = decoded(checked(data), _Report)
    if len(report.examples) != report.summary.example_count:
        raise BadReport(f"the report lists {len(report.examples)} examples, not {report.summary.example_count}")
    outcomes = Outcomes()
    for example in report.examples:
        if example.status not in _STATUS:
            raise BadReport(f"the report has an example that is {example.status!r}")
        file = relative(example.id.rsplit("[", 1)[0], root)
        outcomes.add(f"{file}::{example.full_description}", _STATUS[example.status], example.run_time)
    if report.summary.errors_outside_of_examples_count:
        outcomes.add(OUTSIDE, "ERROR")
    return outcomes
