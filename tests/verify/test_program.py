"""Programs in real boxes: right, wrong, slow, greedy, crashing, and what of the outside they can see."""

from __future__ import annotations

from typing import Any

import pytest

from katcore.errors import SandboxError
from katcore.records import Scaffold, Task, TaskSource, Trajectory, Verdict, Verification
from katcore.verify.verifier import Verifier
from tests.support.grading import archive, patch

pytestmark = pytest.mark.slow

ADD = [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "5 5\n", "stdout": "10"}]
RIGHT = "a, b = map(int, input().split())\nprint(a + b)\n"


def verdict(code: str, patch: str = "", url: str = "", **rule: Any) -> Verdict:
    rules = [{"check": "program", "cases": ADD, "time_s": 5, **rule}]
    task = Task(
        instance_id="p", repo="p", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline", url=url), verification=Verification(kind="rules", rubric={"rules": rules}),
    )  # fmt: skip
    attempt = Trajectory(
        id="a", task_id="p", group_id="p", scaffold=Scaffold(name="s"), model="m", patch=patch,
        artifacts={"answer": f"Here it is:\n```python\n{code}```\n"},
    )  # fmt: skip
    return Verifier().verdict(attempt, task)


def results(found: Verdict) -> dict[str, int]:
    assert not found.masked, found.reason
    return dict(found.evidence["rules"][0]["results"])


def test_a_right_program() -> None:
    found = verdict(RIGHT)
    assert (found.reward, found.passed, results(found)) == (1.0, True, {"AC": 2})


def test_all_that_is_printed_counts() -> None:
    assert results(verdict("print(3, 4)\n", cases=ADD[:1])) == {"WA": 1}
    assert results(verdict("print(' 3')\n", cases=ADD[:1])) == {"AC": 1}
    assert results(verdict("print(' 3')\n", cases=ADD[:1], compare="exact")) == {"WA": 1}
    lines = [{"stdin": "", "stdout": "a\nb\n"}]
    assert results(verdict("print('a ')\nprint('b')\n", cases=lines, compare="exact")) == {"AC": 1}
    assert results(verdict("print('a\\fb')\n", cases=lines, compare="exact")) == {"WA": 1}


def test_a_share_of_the_cases() -> None:
    half = "print(3)\n"
    assert verdict(half).reward == 0.0
    found = verdict(half, partial=True)
    assert (found.reward, found.passed, results(found), found.reason) == (0.5, False, {"AC": 1, "WA": 1}, "case 1: WA")


@pytest.mark.parametrize(
    ("code", "rule", "result"),
    [
        ("while True: pass\n", {"time_s": 0.5}, "TLE"),
        ("import time\ntime.sleep(9)\n", {"time_s": 0.5}, "TLE"),
        ("x = bytearray(10**9)\nprint(3)\n", {"memory_mib": 128}, "MLE"),
        ("raise SystemExit(3)\n", {}, "RE"),
        ("print(", {}, "RE"),
    ],
)
def test_what_goes_wrong_has_a_name(code: str, rule: dict[str, Any], result: str) -> None:
    assert results(verdict(code, cases=ADD[:1], **rule)) == {result: 1}


def test_calls_are_judged_by_their_values() -> None:
    code = "class Solution:\n    def add(self, a, b):\n        print('noise')\n        return [a + b, True]\n"
    cases = [
        {"call": "add", "arguments": [1, 2.5], "value": [3.5, True]},
        {"call": "add", "arguments": [1, 2], "value": [3, 1]},
    ]
    assert results(verdict(code, cases=cases)) == {"AC": 1, "WA": 1}, "true is not 1"


def test_printed_values_do_not_stand_for_returned_ones() -> None:
    code = "def add(a, b):\n    print(3)\n    raise SystemExit(0)\n"
    assert results(verdict(code, cases=[{"call": "add", "arguments": [1, 2], "value": 3}])) == {"WA": 1}


def test_what_is_expected_is_nowhere_in_the_box() -> None:
    code = (
        "import os, sys\nfound = b''\n"
        "for top in ('/tmp', '/testbed', '/run'):\n"
        "    for folder, _, names in os.walk(top):\n"
        "        for name in names:\n"
        "            try: found += open(os.path.join(folder, name), 'rb').read()\n"
        "            except OSError: pass\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    for part in ('cmdline', 'environ'):\n"
        "        try: found += open(f'/proc/{pid}/{part}', 'rb').read()\n"
        "        except OSError: pass\n"
        "print('8675' + '309' if b'8675' + b'309' in found else 'not found')\n"
    )
    assert results(verdict(code, cases=[{"stdin": "", "stdout": "8675309"}])) == {"WA": 1}
    assert results(verdict(code, cases=[{"stdin": "", "stdout": "not found"}])) == {"AC": 1}


def test_a_program_that_a_patch_wrote_and_a_build() -> None:
    base = {"README": "add two numbers\n"}
    code = '#include <stdio.h>\nint main(void) { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", a + b); }\n'
    changed = patch({"main.c": code}, base)
    rule = {"file": "main.c", "language": "c", "build": "gcc -o main main.c", "command": "./main", "memory_mib": 1024}
    assert results(verdict("", changed, archive(base), **rule)) == {"AC": 2}
    assert verdict("", changed.replace("int main", "int main)"), archive(base), **rule).reason.startswith(
        "the build ended"
    )


def test_what_a_build_leaves_is_carried_to_each_case() -> None:
    """Files, links and modes; names of any bytes; nothing where the repository's own file is removed."""
    base = {"README": "x\n", "gone": "x\n"}
    build = "mkdir -p out/deep && printf '#!/bin/sh\ncat data\n' > out/deep/run && chmod 755 out/deep/run"
    build += (
        " && printf 7 > out/deep/data && ln -s deep/run out/link && printf x > $'out/\\xff' && rm gone && touch built"
    )
    command = "cd out/deep && ../link && ls ../ | wc -l && test -e ../../built"
    cases = [{"stdout": "73\n"}] * 2
    assert results(verdict("", url=archive(base), build=build, command=command, cases=cases)) == {"AC": 2}


def test_tolerances_are_relative_and_absolute_ones_are_asked_for() -> None:
    def of(code: str, value: Any, **rule: Any) -> dict[str, int]:
        return results(verdict(f"def f():\n    return {code}\n", cases=[{"call": "f", "value": value}], **rule))

    assert of("1e-7", 0.0) == of("2e-7", 1e-7) == of("10**9", 10**9 + 7) == of("1e9", 10**9 + 7) == {"WA": 1}
    assert of("1e-7", 0.0, abs=1e-6) == of("1/3", 0.33333333) == of("3.0", 3) == of("3", 3.0) == {"AC": 1}
    assert of("0.34", 1 / 3, rel=0.1) == {"AC": 1}


def test_numbers_may_be_near() -> None:
    cases = [{"stdin": "", "stdout": "0.333333333 a"}]
    assert results(verdict("print(1/3, 'a')\n", cases=cases, compare="numeric")) == {"AC": 1}
    assert results(verdict("print(1/3, 'a')\n", cases=cases)) == {"WA": 1}
    whole = [{"stdin": "", "stdout": "1000000007"}]
    assert results(verdict("print(10**9)\n", cases=whole, compare="numeric")) == {"WA": 1}
    assert results(verdict("print('1000000007.0')\n", cases=whole, compare="numeric")) == {"AC": 1}
    endless = [{"stdin": "", "stdout": "1" * 400}]
    assert results(verdict("print('inf')\n", cases=endless, compare="numeric")) == {"WA": 1}
    assert results(verdict("print('1e999')\n", cases=endless, compare="numeric")) == {"WA": 1}


def test_a_box_that_fails_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(self: object, spec: object) -> None:
        raise SandboxError("no box today")

    monkeypatch.setattr("katcore.sandbox.bubblewrap.Bubblewrap.create", dead)
    found = verdict(RIGHT)
    assert (found.masked, found.reason) == (True, "sandbox: no box today")
