"""How many runs of a suite a change costs: counted where they are started, in real boxes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from katcore.build_env import bench
from katcore.build_env.build import Builder
from katcore.build_env.options import BuildOptions
from katcore.errors import Rejected
from katcore.records import Change, Environment, Task, encode
from katcore.sandbox import Box
from katcore.testrun.run import TestRun, run_tests
from tests.support.projects import BASE, change

pytestmark = pytest.mark.slow

TEST = "from calm_sums import add\ndef test_same(): assert add(3, 0) == 3\n"
MENDED = BASE["src/calm_sums/__init__.py"].replace("a - b", "a + b")
GROWN = TEST + "def test_sum(): assert add(1, 1) == 2\n"


class Counted:
    """Every run that is started, by the files that were asked for; tests see the run's number as `RUN`, from 1."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(
        self, box: Box, environment: Environment, *, tests: Sequence[str] = (), timeout_s: float = 60
    ) -> TestRun:
        self.asked.append(list(tests))
        numbered = msgspec.structs.replace(environment, env={**environment.env, "RUN": str(len(self.asked))})
        return run_tests(box, numbered, tests=tests, timeout_s=timeout_s)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    spy = Counted()
    monkeypatch.setattr(bench, "run_tests", spy)
    return spy


def mined(folder: Path, tests: str, source: str = MENDED) -> Change:
    head = {
        "src/calm_sums/__init__.py": source,
        "tests/test_add.py": tests,
        "tests/test_other.py": "def test_a(): pass",
    }
    return change(folder / "calm", {**BASE, "tests/test_add.py": TEST}, head)


def turned_away(mined: Change, options: BuildOptions = BuildOptions()) -> Rejected:
    with pytest.raises(Rejected) as caught:
        Builder(options).build(mined)
    return caught.value


def test_one_run_after_and_one_before_decide_that_no_test_turns(tmp_path: Path, counted: Counted) -> None:
    why = turned_away(mined(tmp_path, TEST + "def test_zero(): assert add(1, 0) == 1\n"))
    assert (why.stage, why.reason) == ("f2p", "no_f2p")
    assert counted.asked == [[], []]
    assert why.evidence["runs_made"] == {"suite": 2, "files": 0, "not_started": 0}


def test_what_survives_is_repeated(tmp_path: Path, counted: Counted) -> None:
    made = Builder(BuildOptions(runs=2)).build(mined(tmp_path, GROWN))
    assert counted.asked == [[]] * 4
    assert made.evidence.yields["runs_made"] == {"suite": 4, "files": 0, "not_started": 0}
    assert [run["state"] for run in made.evidence.runs] == ["before"] * 2 + ["after"] * 2


def test_a_broken_test_is_confirmed_by_its_file_alone(tmp_path: Path, counted: Counted) -> None:
    why = turned_away(mined(tmp_path, GROWN + "def test_old(): assert add(3, 1) == 2\n"))
    assert (why.stage, why.reason, why.evidence["broken"]) == ("p2p", "p2p_broken", ["tests/test_add.py::test_old"])
    assert counted.asked == [[], []] + [["tests/test_add.py"]] * 4
    assert why.evidence["runs_made"] == {"suite": 2, "files": 4, "not_started": 0}


def test_a_test_that_only_seems_broken_is_flaky_and_turns_nothing_away(tmp_path: Path, counted: Counted) -> None:
    once = "import os\ndef test_once(): assert os.environ['RUN'] != '1'\n"
    made = Builder(BuildOptions(runs=2)).build(mined(tmp_path, GROWN + once))
    assert made.evidence.flaky == ["tests/test_add.py::test_once"]
    assert made.verification.FAIL_TO_PASS == ["tests/test_add.py::test_sum"]
    assert [len(asked) for asked in counted.asked] == [0, 0, 1, 1, 0, 0]


def test_repeats_end_when_no_test_turns_any_more(tmp_path: Path, counted: Counted) -> None:
    once = "import os\ndef test_once(): assert os.environ['RUN'] == '1'\n"
    why = turned_away(mined(tmp_path, TEST + once), BuildOptions(runs=9))
    assert (why.stage, why.reason, why.evidence["flaky"]) == ("f2p", "flaky", ["tests/test_add.py::test_once"])
    assert len(counted.asked) == 4


def test_where_tests_run_and_none_passes_no_other_environment_is_tried(tmp_path: Path, counted: Counted) -> None:
    project = BASE["pyproject.toml"] + '[project.optional-dependencies]\ntest = ["iniconfig"]\n'
    never = "def test_never(): assert False\n"
    made = change(tmp_path / "calm", {**BASE, "pyproject.toml": project}, {"tests/test_add.py": never, "x.py": ""})
    why = turned_away(made)
    assert (why.stage, why.reason) == ("after_run", "nothing_passes")
    assert counted.asked == [[]]


def test_the_summary_counts_the_runs_of_tasks_and_of_what_is_turned_away(tmp_path: Path) -> None:
    changes = [mined(tmp_path / "kept", GROWN), mined(tmp_path / "none", TEST + "def test_b(): pass\n", MENDED + "#\n")]
    lines = b"".join(encode(one) + b"\n" for one in changes)
    command = ["kat-build-env", "--log-format", "json", "--rejects", tmp_path / "rejects"]
    done = subprocess.run(command, input=lines, capture_output=True, check=True)
    summary = json.loads(done.stderr.splitlines()[-1])
    (rejected,) = map(json.loads, (tmp_path / "rejects").read_text().splitlines())
    task = msgspec.json.decode(done.stdout, type=Task)
    assert task.evidence.yields["runs_made"]["suite"] == 6 and rejected["evidence"]["runs_made"]["suite"] == 2
    assert summary["suite_runs"] == 8, summary
