"""A program that leaves its work for the cases that come after: what takes too long is done in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from katcore.records import Scaffold, Task, TaskSource, Trajectory, Verification
from katcore.sandbox import Box, Sandbox
from katcore.verify.program import ProgramRunner, _place, _run
from katcore.verify.rules import Case, Outcome, Program

pytestmark = pytest.mark.slow

CASES = [Case(stdin="", stdout="2\n") for _ in range(4)]
PLACES = ["/tmp/work", "/testbed/work", "/dev/shm/work", "/tmp/home/work", "/tmp/judge-bin/work", "solution.pyc"]
COUNTS = "import os, sys\nplace = {place!r}\ndone = open(place).read() if os.path.exists(place) else ''\n"
COUNTS += "try: open(place, 'w').write(done + 'x')\nexcept OSError: pass\nprint(2 if done else 1)\n"
"""A second case that finds the first one's file answers right."""
REWRITES = "import sys\ntext = open(sys.argv[0]).read()\nold, new = 'pr' + 'int(1)', 'pr' + 'int(2)'\n"
REWRITES += "open(sys.argv[0], 'w').write(text.replace(old, new))\nprint(1)\n"
STAYS = """
import os, subprocess, sys, time
here = [p for p in os.listdir('/proc') if p.isdigit() and b'stay' in open(f'/proc/{p}/cmdline', 'rb').read()]
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', 'stay'], start_new_session=True,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(2 if here else 1)
"""
LINKS = "import os\nif os.path.exists('/tmp/judge-bin/old'): print(2)\nelse:\n"
LINKS += "    os.rename('/tmp/judge-bin/python3', '/tmp/judge-bin/old')\n    print(1)\n"

Judged = Callable[..., Outcome]


@pytest.fixture
def judged(boxes: Sandbox) -> Judged:
    def of(code: str, **rule: Any) -> Outcome:
        verification = Verification(kind="rules")
        task = Task(
            instance_id="hostile", repo="p", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
            source=TaskSource(kind="inline"), verification=verification,
        )  # fmt: skip
        attempt = Trajectory(
            id="a", task_id="p", group_id="p", scaffold=Scaffold(name="s"), model="m",
            artifacts={"answer": f"```python\n{code}```\n"},
        )  # fmt: skip
        return ProgramRunner(boxes)(task, attempt, Program(cases=CASES, partial=True, time_s=20.0, **rule))

    return of


@pytest.mark.parametrize("place", PLACES)
def test_a_file_left_for_later(judged: Judged, place: str) -> None:
    found = judged(COUNTS.format(place=place))
    assert (found.score, found.seen["results"]) == (0.0, {"WA": 4})


@pytest.mark.parametrize("code", [REWRITES, STAYS, LINKS], ids=["rewrites-itself", "stays", "another-python"])
def test_other_ways_to_be_remembered(judged: Judged, code: str) -> None:
    assert judged(code).score == 0.0


def test_what_was_built_is_as_it_was(judged: Judged) -> None:
    """A build's own files are there in each case, as the build left them."""
    build = "printf x > work; cp solution.py built.py"
    found = judged(
        COUNTS.format(place="later").replace("print(", "assert open('work').read() == 'x'; print("), build=build
    )
    assert found.seen["results"] == {"WA": 4}


def test_in_one_box_it_works(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guard three of four cases are right."""

    boxes: list[Box] = []

    def one(self: ProgramRunner, spec: Any, rule: Program, case: Case, patch: str, code: bytes, built: bytes) -> str:
        if not boxes:
            boxes.append(self.sandbox.create(spec))
            _place(boxes[0], rule, patch, code)
        return _run(boxes[0], rule, case)

    monkeypatch.setattr(ProgramRunner, "_case", one)
    try:
        assert judged(COUNTS.format(place="/tmp/work")).score == 0.75
    finally:
        for box in boxes:
            box.close()
