"""Validation of tasks: sound ones, those that fall out and why, and one that is killed again and again."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.environment.built import environment_mounts
from katcore.errors import RecordError, Rejected
from katcore.options.boxes import BoxOptions
from katcore.records import Task, Verdict, encode
from katcore.sandbox import sandbox
from katcore.testrun.guard import Guard
from katcore.testrun.reports.junit import read_junit
from katcore.verify import grader, probes
from katcore.verify.forgery import Finding
from katcore.verify.options import ValidateOptions
from katcore.verify.validation import Validator
from tests.support.grading import BASE, CALM, FIXED, GOLD, calm_task, patch

TASKS = int(os.environ.get("KAT_VALIDATE_TASKS", "2"))
KILLS = int(os.environ.get("KAT_VALIDATE_KILLS", "3"))
LATEST_S = float(os.environ.get("KAT_VALIDATE_LATEST_S", "3"))
TABLE = os.environ.get("KAT_VALIDATE_TABLE", "")


def with_gold(task: Task, gold: str = GOLD, **fields: Any) -> Task:
    return msgspec.structs.replace(task, patch=gold, **fields)


def other_gold(name: str) -> str:
    """The known change under another name in the cache: what is made up here must be nobody else's verdict."""
    return GOLD + patch({f"calm/{name}.txt": "x\n"})


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Leave out the cheats, or all but some: each costs a box."""

    def keep(*names: str) -> None:
        every = probes.cheats
        monkeypatch.setattr(
            probes, "cheats", lambda task, base: {n: p for n, p in every(task, base).items() if n in names}
        )

    return keep


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bubblewrap", "docker"])
def test_a_sound_task(task: Task, kind: str, request: pytest.FixtureRequest, only: Any) -> None:
    if kind == "docker":
        request.getfixturevalue("engine")
    only("conftest_hook", "forged_report", "skip_all")
    seen = Validator(ValidateOptions(reuse=False, boxes=BoxOptions(sandbox=kind))).validate(with_gold(task))
    assert {name: probe["reward"] for name, probe in seen["gold"].items()} == {f"gold-{i}": 1.0 for i in (1, 2, 3)}
    assert seen["noop"]["noop"]["reward"] == 0.0 and seen["wrong_caught"] == [1, 1]
    assert {name: probe["reward"] for name, probe in seen["cheat"].items()} == {
        "conftest_hook": 0.0, "skip_all": 0.0, "forged_report": 0.0}  # fmt: skip


def rejected(task: Task) -> tuple[str, str]:
    with pytest.raises(Rejected) as found:
        Validator(ValidateOptions(reuse=False)).validate(task)
    assert found.value.evidence is not None
    return found.value.stage, found.value.reason


@pytest.mark.slow
def test_what_falls_out(task: Task, only: Any) -> None:
    only()
    fixed = calm_task(task.environment, "fixed", {**BASE, "calm/__init__.py": FIXED})
    assert rejected(with_gold(fixed, patch({"calm/more.py": "x = 1\n"}))) == ("noop", "passes_unchanged")
    wrong = patch({"calm/__init__.py": CALM.replace("a - b", "a * b", 1)})
    assert rejected(with_gold(task, wrong)) == ("gold", "known_change_fails")
    assert rejected(with_gold(task, "")) == ("gold", "no_known_change")
    blind = patch({"calm/__init__.py": FIXED.replace("a + b", "a - -b if a != 99 else a - -b", 1)})
    assert rejected(with_gold(task, blind)) == ("wrong", "tests_do_not_see_the_change")


@pytest.mark.slow
def test_a_cheat_that_passes_turns_the_task_away(task: Task, monkeypatch: pytest.MonkeyPatch, only: Any) -> None:
    only("forged_report")
    monkeypatch.setattr(Guard, "reaches", lambda *_: False)
    monkeypatch.setattr(grader.Grader, "_forged", lambda *_: Finding())
    assert rejected(with_gold(task, other_gold("cheat"))) == ("cheat", "cheat_passes")


@pytest.mark.slow
def test_flaky_known_changes_fall_out(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter([Verdict(parts={"f2p": [0, 1], "p2p": [1, 1]}), Verdict(reward=1.0, passed=True), Verdict()])
    monkeypatch.setattr(grader.Grader, "grade", lambda *_: next(verdicts))
    with pytest.raises(Rejected, match="gold: flaky"):
        Validator(ValidateOptions(reuse=False)).validate(with_gold(task, other_gold("flaky")))


def test_infrastructure_is_a_dead_letter(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader.Grader, "grade", lambda *_: grader.masked("sandbox: no box today"))
    with pytest.raises(RecordError, match="noop: sandbox: no box today"):
        Validator(ValidateOptions(reuse=False)).validate(with_gold(task))


TWO = "def a():\n    return 1\n\n\n" + "# far away\n" * 12 + "\ndef b(x):\n    return x == 2\n"


def test_wrong_changes_are_parts_and_mutants_of_the_known_one(tmp_path: Path) -> None:
    base = {"m.py": TWO}
    gold = patch({"m.py": TWO.replace("return 1", "return 2").replace("x == 2", "x >= 3 and x < 9")}, base)
    made = probes.wrong(gold)
    assert sorted(made) == ["mutant-line-17", "mutant-line-8", "without-hunk-1", "without-hunk-2"]
    texts = {}
    for name, change in made.items():
        (tmp_path / "m.py").write_text(TWO)
        subprocess.run(["git", "apply", "-"], input=change.encode(), cwd=tmp_path, check=True)
        texts[name] = (tmp_path / "m.py").read_text()
    assert "return 1" in texts["without-hunk-1"] and "x >= 3" in texts["without-hunk-1"]
    assert "x < 3 and x < 9" in texts["mutant-line-17"] and "return None" in texts["mutant-line-8"]
    assert len({*texts.values()}) == 4


def test_wrong_changes_of_a_large_one_are_spread_over_it() -> None:
    base = {"m.py": "".join(f"x{i} = {i} == 0\n" + "#\n" * 9 for i in range(7))}
    gold = patch({"m.py": base["m.py"].replace("==", "<=")}, base)
    made = sorted(probes.wrong(gold))
    assert [name for name in made if "hunk" in name] == ["without-hunk-1", "without-hunk-4", "without-hunk-7"]
    assert len(made) == 6 and not probes.covers(gold) and probes.covers(GOLD)


def test_cheats_apply_to_the_base(task: Task, tmp_path: Path) -> None:
    for name, text in BASE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = probes.cheats(with_gold(task), tmp_path)
    assert len(made) == 13
    for name, change in made.items():
        done = subprocess.run(["git", "apply", "--check", "-"], input=change.encode(), cwd=tmp_path, check=False)
        assert done.returncode == 0, name


@pytest.mark.parametrize("name", ["forged_report", "report_daemon"])
def test_a_forged_report_names_the_tests(task: Task, tmp_path: Path, name: str) -> None:
    """Where nobody stops it: else a cheat that earns nothing might only be broken."""
    for path, text in BASE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    change = probes.cheats(with_gold(task), tmp_path)[name]
    subprocess.run(["git", "apply", "-"], input=change.encode(), cwd=tmp_path, check=True)
    report = tmp_path / "report.xml"
    env = {"KAT_REPORT": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import calm"], cwd=tmp_path, env=env, check=True)
    for _ in range(3000):  # one of them writes it from a daemon
        if report.is_file() and report.read_bytes().endswith(b"</testsuites>"):
            break
        time.sleep(0.01)
    tests = [*task.verification.FAIL_TO_PASS, *task.verification.PASS_TO_PASS]
    assert read_junit(report.read_bytes()).statuses == dict.fromkeys(tests, "PASSED")


def test_cheats_on_files_of_another_kind_apply(task: Task, tmp_path: Path) -> None:
    for name, text in BASE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.replace("\n", "\f\r\n").encode() + b"# caf\xe9")
    for name, change in probes.cheats(with_gold(task), tmp_path).items():
        command = ["git", "apply", "--check", "-"]
        done = subprocess.run(command, input=change.encode("utf-8", "surrogateescape"), cwd=tmp_path, check=False)
        assert done.returncode == 0, name


def validated(path: Path) -> list[Any]:
    return [json.loads(line)["evidence"]["probes"]["validation"] for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_killed_at_random_and_resumed_gives_the_same_evidence(task: Task, tmp_path: Path) -> None:
    """Tasks of which one in five falls out: kill -9 at random moments, then to the end; against one clean run."""
    source, out, clean = (tmp_path / f"{name}.jsonl" for name in ("tasks", "out", "clean"))
    session = secrets.token_hex(8)  # nothing of an earlier session's cache answers
    tasks = []
    for number in range(TASKS):
        mark = f"# killed {number} {session}\n"
        base = {**BASE, "calm/__init__.py": mark + CALM}
        gold = {"calm/__init__.py": mark + FIXED} if number % 5 else {"calm/more.py": "x = 1\n"}
        sound = calm_task(task.environment, f"killed-{number}", base)
        tasks.append(with_gold(sound, patch(gold, base)))
    source.write_bytes(b"".join(encode(t) + b"\n" for t in tasks))
    chance, lines = random.Random(5), []
    command = ["kat-verify", "validate", "--rejects", str(tmp_path / "rejects.jsonl"), "--strict", "--resume"]
    for _ in range(KILLS):
        run = subprocess.Popen(
            [*command, "-o", str(out), str(source)], stderr=subprocess.DEVNULL, process_group=0
        )  # fmt: skip
        time.sleep(chance.uniform(0.8, LATEST_S))
        ended = run.poll() is not None
        os.killpg(run.pid, signal.SIGKILL) if not ended else None
        run.wait()
        part = out.with_suffix(".jsonl.part")
        lines.append("over" if ended else str(len(part.read_bytes().splitlines())) if part.exists() else "0")
    done = subprocess.run([*command, "-o", str(out), str(source)], check=False, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    command = ["kat-verify", "validate", "--no-reuse", "--rejects", str(tmp_path / "clean-rejects.jsonl")]
    once = subprocess.run([*command, "-o", str(clean), str(source)], check=False, capture_output=True, text=True)
    assert once.returncode == 0, once.stderr
    fallen = len(range(0, TASKS, 5))
    assert out.read_bytes() == clean.read_bytes() and len(validated(out)) == TASKS - fallen
    rejects = [(tmp_path / name).read_text() for name in ("rejects.jsonl", "clean-rejects.jsonl")]
    assert rejects[0] == rejects[1] and len(rejects[0].splitlines()) == fallen
    assert {json.loads(line)["reason"] for line in rejects[0].splitlines()} == {"known_change_fails"}
    if TABLE:
        said = f"{TASKS} tasks, kill -9 after which so many were written: {', '.join(lines)}; then to the end."
        same = f"Output and rejects ({fallen}) are, byte for byte, those of one clean run without the cache."
        Path(TABLE).write_text(f"# Validation, killed at random\n\n`make test-validate`: {said}\n{same}\n")


@pytest.mark.slow
def test_a_change_that_the_environment_holds_falls_out(task: Task) -> None:
    (mount, *_) = environment_mounts(task.environment, sandbox("bubblewrap"))
    held = next(mount.source.rglob("_pytest/fixtures.py"))
    gold = patch({"calm/__init__.py": FIXED, "calm/held.py": held.read_text()})
    with pytest.raises(Rejected) as fallen:
        Validator(ValidateOptions(reuse=False)).validate(with_gold(task, gold))
    assert (fallen.value.stage, fallen.value.reason) == ("scan", "answer_on_disk")
    assert "_pytest/fixtures.py" in json.dumps(fallen.value.evidence)
