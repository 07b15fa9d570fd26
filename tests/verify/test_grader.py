"""Grading in real boxes, from a patch to a verdict, and the command around it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore import sandbox
from katcore.errors import RecordError
from katcore.options.boxes import BoxOptions
from katcore.pool import run
from katcore.records import Environment, Exit, Node, Task, TaskSource, Timing, Trajectory, encode
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from katcore.verify.verifier import Verifier
from tests.support.grading import BASE, CALM, F2P, FIXED, GOLD, P2P, calm_task, grade, item, patch, trajectory

pytestmark = pytest.mark.slow


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a sandbox whose boxes never start."""
    monkeypatch.setitem(sandbox.SANDBOXES, "dead", "tests.support.grading:Dead")
    yield "dead"


def other(task: Task, **fields: Any) -> Task:
    return msgspec.structs.replace(task, **fields)


def test_the_fix_passes_every_time(task: Task) -> None:
    verdicts = [grade(task, GOLD) for _ in range(3)]
    assert verdicts[0].parts == {"f2p": [1, 1], "p2p": [1, 1]} and not verdicts[0].flags
    assert [(v.reward, v.passed, v.masked, v.reason) for v in verdicts] == [(1.0, True, False, "passed")] * 3
    assert verdicts[0] == verdicts[1] == verdicts[2], "no time, no path of a box in a verdict"


@pytest.mark.parametrize("nothing", ["", None, "\n"])
def test_no_change_is_no_reward(task: Task, nothing: str | None) -> None:
    verdict = grade(task, nothing)
    assert (verdict.reward, verdict.masked, verdict.reason) == (0.0, False, "no change")


def test_a_wrong_fix_names_the_test(task: Task) -> None:
    verdict = grade(task, patch({"calm/__init__.py": CALM.replace("a - b", "a * b", 1)}))
    assert (verdict.reward, verdict.passed, verdict.masked) == (0.0, False, False)
    assert verdict.reason == "1 FAIL_TO_PASS and 0 PASS_TO_PASS tests did not pass"
    assert verdict.evidence["not_passed"] == {F2P: "FAILED"} and verdict.evidence["exit_code"] == 1
    assert "assert 2 == 3" in verdict.evidence["log_tail"]


def test_a_fix_that_breaks_what_worked(task: Task) -> None:
    verdict = grade(task, patch({"calm/__init__.py": CALM.replace("a - b", "a + b")}))
    assert (verdict.reward, verdict.parts) == (0.0, {"f2p": [1, 1], "p2p": [0, 1]})
    assert verdict.evidence["not_passed"] == {P2P: "FAILED"}


def test_a_change_that_cannot_be_imported(task: Task) -> None:
    verdict = grade(task, patch({"calm/__init__.py": "def add(:\n"}))
    assert verdict.reward == 0.0 and set(verdict.evidence["not_passed"].values()) == {"MISSING"}


@pytest.mark.parametrize(
    "broken", ["not a patch at all\n", GOLD.replace("-    return a - b", "-    return a / b"), GOLD[:-40]]
)
def test_a_patch_that_does_not_apply(task: Task, broken: str) -> None:
    verdict = grade(task, broken)
    assert (verdict.reward, verdict.masked) == (0.0, False)
    assert verdict.reason.startswith("the patch does not apply: ")


def test_a_patch_for_lines_that_moved_says_so(task: Task) -> None:
    moved = calm_task(task.environment, "moved", {**BASE, "calm/__init__.py": "# another first line\n" + CALM})
    verdict = grade(moved, GOLD.replace("def add(a, b):\n", "def add(a,  b):\n", 1))
    assert (verdict.reward, verdict.flags) == (1.0, ["applied_with_fuzz"])


def test_new_binary_deleted_and_renamed_files_arrive(task: Task) -> None:
    package = {"calm/__init__.py": "from calm.sums import add, sub\n", "calm/sums.py": FIXED, "setup.cfg": None}
    assert grade(task, patch(package)).reward == 1.0


def test_a_set_up_that_the_patch_broke_is_no_reward(task: Task) -> None:
    environment = msgspec.structs.replace(task.environment, setup=["/opt/env/bin/python -c 'import calm'"])
    assert grade(other(task, environment=environment), GOLD).reward == 1.0
    verdict = grade(other(task, environment=environment), patch({"calm/__init__.py": "1 / 0\n"}))
    assert (verdict.reward, verdict.masked) == (0.0, False)
    assert verdict.reason.startswith("setup: ") and "ZeroDivisionError" in verdict.reason


def test_an_identical_grading_takes_the_verdict_that_is_there(task: Task, dead: str) -> None:
    first = grade(task, GOLD)
    assert grade(task, GOLD, reuse=True, sandbox=dead) == first, "no box was started"
    assert first.evidence["grading"]
    assert grade(task, GOLD, reuse=False, sandbox=dead).masked


def test_a_verdict_is_only_taken_for_the_same_grading(task: Task, dead: str) -> None:
    grade(task, GOLD)
    changed = {**task.test_files, "tests/test_calm.py": msgspec.structs.replace(task.test_files["pytest.ini"])}
    assert grade(other(task, test_files=changed), GOLD, reuse=True, sandbox=dead).masked
    assert grade(task, GOLD, reuse=True, sandbox=dead, timeout=61.0).masked, "another time limit"
    assert grade(task, GOLD + patch({"a.txt": "a\n"}), reuse=True, sandbox=dead).masked


def test_a_box_that_fails_says_nothing_about_the_attempt(task: Task, dead: str) -> None:
    verdict = grade(task, GOLD, sandbox=dead)
    assert (verdict.masked, verdict.reward, verdict.reason) == (True, 0.0, "sandbox: no box today")
    assert grade(task, GOLD, reuse=True).reward == 1.0, "it is not kept for the next time"


@pytest.mark.parametrize("kind", ["sandbox", "engine", "gateway"])
def test_an_attempt_that_the_infrastructure_ended_is_not_graded(task: Task, dead: str, kind: str) -> None:
    attempt = other_attempt(trajectory(GOLD), exit=Exit(kind=kind, detail="it broke"))
    verdict = Verifier(Grader(TestOptions(boxes=BoxOptions(sandbox=dead)))).graded(attempt, task).verdict
    assert verdict is not None and (verdict.masked, verdict.reason) == (True, f"{kind}: it broke")


@pytest.mark.parametrize("kind", ["turns", "tokens", "time", "context", "agent_error"])
def test_an_attempt_that_ran_out_of_something_is_graded(task: Task, kind: str) -> None:
    attempt = other_attempt(
        trajectory(GOLD), exit=Exit(kind=kind), nodes=[Node(id=0, role="user", message={"role": "user"})]
    )
    verdict = Verifier().graded(attempt, task).verdict
    assert verdict is not None and verdict.reward == 1.0


def other_attempt(attempt: Trajectory, **fields: Any) -> Trajectory:
    return msgspec.structs.replace(attempt, **fields)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"digest": "0" * 64}, "digest"),
        ({"platform": "plan9-mips", "digest": ""}, "plan9-mips"),
        ({"lock": ["no-such-package-5120==1 --hash=sha256:" + "0" * 64], "digest": ""}, "no-such-package-5120"),
    ],
)
def test_an_environment_that_cannot_be_built_again(task: Task, fields: dict[str, Any], word: str) -> None:
    environment: Environment = msgspec.structs.replace(task.environment, **fields)
    verdict = grade(other(task, environment=environment), GOLD)
    assert verdict.masked and verdict.reason.startswith("environment: ") and word in verdict.reason


def test_records_that_cannot_be_graded_are_dead_letters(task: Task) -> None:
    rules = msgspec.structs.replace(task.verification, kind="rules")
    gone = TaskSource(kind="inline", url="data:application/x-tar;base64,!")
    ways = [None, other(task, verification=rules), other(task, source=gone), task]
    found = list(run(Verifier(), (item(way, trajectory(GOLD)) for way in ways)))
    assert [done.failed and done.failed.stage for done in found] == ["task", "task", "source", None]
    assert isinstance(found[0].failed, RecordError) and "calm-1" in found[0].failed.reason


# ------------------------------------------------------------------------------------------------ the command


def kat_verify(*args: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["kat-verify", *map(str, args)], input=stdin, capture_output=True, timeout=110)


def lines(*records: Task | Trajectory) -> bytes:
    return b"".join(encode(record) + b"\n" for record in records)


def timeless(data: bytes) -> list[Any]:
    records = [json.loads(re.sub(rb" in \d+\.\d\ds", b"", line)) for line in data.splitlines()]
    for record in records:
        record.pop("timing", None)
    return records


def test_the_stream_is_what_it_was_with_verdicts_in_it(task: Task) -> None:
    full = other_attempt(
        trajectory(GOLD, "full"),
        nodes=[Node(id=0, role="user", token_ids=[1, 2])],
        timing=Timing(boot=1.5, agent=2.5),
        artifacts={"left_out": ["big"]},
    )
    tomorrow = encode(full)[:-1] + b',"tomorrow":{"a":[1]}}\n'
    given = lines(task, task) + tomorrow + lines(task, trajectory("", "none"))
    done = kat_verify(stdin=given)
    assert done.returncode == 0, done.stderr
    got = done.stdout.splitlines()
    assert got[0] == encode(task) and len(got) == 3, "a task that comes twice passes once"
    seen, before = json.loads(got[1]), json.loads(tomorrow)
    assert seen["verdict"]["reward"] == 1.0 and seen["timing"]["grade"] > 0
    assert (seen["timing"]["boot"], seen["timing"]["agent"]) == (1.5, 2.5)
    assert {k: v for k, v in seen.items() if k not in ("verdict", "timing")} == {
        k: v for k, v in before.items() if k not in ("verdict", "timing")
    }
    assert json.loads(got[2])["verdict"]["reason"] == "no change"


def test_output_does_not_depend_on_jobs(task: Task) -> None:
    wrong = patch({"calm/__init__.py": CALM.replace("a - b", "a * b", 1)})
    given = lines(task, *(trajectory(p, f"t{n}") for n, p in enumerate([GOLD, "", wrong, GOLD, "bad"])))
    one, four, any_order = (
        timeless(kat_verify("--no-reuse", "-j", *way, stdin=given).stdout) for way in ([1], [4, "--ordered"], [4])
    )
    assert one == four and len(one) == 6
    assert one[0] == any_order[0] and sorted(one, key=str) == sorted(any_order, key=str)


def test_tasks_from_a_side_file_and_tasks_that_are_nowhere(task: Task, tmp_path: Path) -> None:
    side, dead = tmp_path / "tasks.jsonl", tmp_path / "dead.jsonl"
    side.write_bytes(lines(task))
    given = lines(trajectory(GOLD), trajectory(GOLD, "lost", "elsewhere"))
    done = kat_verify("--tasks", side, "--dead-letter", dead, stdin=given)
    assert done.returncode == 3, done.stderr
    assert [json.loads(line)["verdict"]["reward"] for line in done.stdout.splitlines()] == [1.0]
    letter = json.loads(dead.read_bytes())
    assert (letter["id"], letter["stage"]) == ("lost", "task") and "elsewhere" in letter["error"]


def test_a_task_after_its_trajectory_is_too_late(task: Task) -> None:
    assert kat_verify(stdin=lines(trajectory(GOLD), task)).returncode == 3


def test_resuming_grades_nothing_twice(task: Task, tmp_path: Path) -> None:
    out, given = tmp_path / "v.jsonl", lines(task, trajectory(GOLD), trajectory("", "b"))
    assert kat_verify("-o", out, "--resume", stdin=given).returncode == 0
    before = out.read_bytes()
    again = kat_verify("-o", out, "--resume", "--log-format", "json", stdin=given)
    assert out.read_bytes() == before and json.loads(again.stderr.splitlines()[-1])["skipped"] == 2


@pytest.mark.parametrize("args", [["--sandbox", "bucket"], ["--timeout", "0"]])
def test_called_wrongly(task: Task, args: list[str]) -> None:
    done = kat_verify(*args, stdin=lines(task, trajectory("")))
    assert done.returncode == 2 and b"Traceback" not in done.stderr
