"""Every runner's real program on a tiny project, in a real box, read and believed as kat-verify does.

Three run in CI; `make test-runners` runs all, writes the reports of `reports/` again and the table of
`benchmarks/results/test_runners.md` where KAT_RUNNERS_TABLE says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.testrun.runners import RUNNERS, units_of
from tests.support.expected_outcomes import EXPECTED, NOT_RUN
from tests.support.real_runners import play, share_downloads

pytestmark = pytest.mark.slow
TABLE = os.environ.get("KAT_RUNNERS_TABLE")
IN_CI = ("pytest", "unittest", "mocha")
REAL = [name for name in RUNNERS if name not in NOT_RUN]
ALL = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.runners]) for name in REAL]
HEAD = "| runner | version | report | exit status | ids | as the sources say | one unit alone | seconds |"


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    if TABLE:
        rows += [f"| {name} | not run | {RUNNERS[name].report} | | | published form | | |" for name in NOT_RUN]
        text = ["# Real test runners on the projects of tests/testrun/projects", "", *NOTES, "", HEAD, RULE, *rows]
        Path(TABLE).write_text("\n".join(text) + "\n")


NOTES = [
    "`make test-runners` writes this. Each runner's real program, from PyPI, npm or Debian, in a bubblewrap box",
    "without a network, by the command of `katcore/testrun/runners.py`; what it wrote is compared with what the",
    "sources of the projects say. The exit status agrees with the report in every row, or the run would not be",
    "believed. One unit alone: tests that ran when only the first test's file, package or class was asked for.",
]
RULE = "|---|---|---|---|---|---|---|---|"


@pytest.fixture
def downloads(cache: Path) -> None:
    share_downloads(cache)


@pytest.mark.parametrize("name", ALL)
def test_a_real_run_is_read_as_the_sources_say(
    name: str, downloads: None, table: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    played = play(name, tmp_path_factory.mktemp(name))
    run = played.run
    assert (run.problem, run.outcomes) == ("", EXPECTED[name]), run.log_tail
    first = next(iter(EXPECTED[name]))
    alone = play(name, tmp_path_factory.mktemp(name), (first,)).run
    unit = units_of([first])[0]
    assert alone.problem == "" and alone.outcomes[first] == EXPECTED[name][first]
    assert alone.outcomes.items() <= run.outcomes.items()
    assert {test for test in run.outcomes if test.split("::")[0] == unit} <= set(alone.outcomes)
    if TABLE:
        suffix = RUNNERS[name].report.rpartition(".")[2]
        (Path(__file__).parent / "reports" / f"{name}.{suffix}").write_bytes(played.report)
    ids, report = len(run.outcomes), RUNNERS[name].report
    ran = f"{len(alone.outcomes)} of {ids}"
    table.append(
        f"| {name} | {played.version} | {report} | {run.exit_code} | {ids} | yes | {ran} | {run.seconds:.1f} |"
    )
