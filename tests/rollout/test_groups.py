"""Early stop, drawing again, time-outs of a phase and totals, in real boxes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.scripted import bash
from katcore.errors import UsageError
from katcore.gateway import journal
from katcore.pool import run
from katcore.records import Task, Trajectory, Verdict, encode
from katcore.rollout.attempts import Setup, attempts_at
from katcore.rollout.groups import Groups, groups
from katcore.rollout.options import AgentOptions, RolloutOptions, TimeOptions
from katcore.rollout.roller import Roller, drawn, roll
from katcore.rollout.service import Service
from katcore.streams import Line
from katcore.streams.grow import load_journal
from tests.support.options import setup
from tests.support.rollout_tasks import task
from tests.support.waiting import until

pytestmark = pytest.mark.slow
NEAR = [bash("cat calc.py"), bash("sed -i s/-/+/ calc.py")]
FAR = [bash("ls /usr/bin"), bash("find / -name x.c"), bash("rm -rf README.md"), bash("touch never")]


def script(folder: Path, *samples: list[dict[str, Any]]) -> str:
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps({"sample": n, "messages": m}) + "\n" for n, m in enumerate(samples)))
    return f"scripted:{path}"


def guided() -> Task:
    of = task()
    of.verification.references = [{"messages": NEAR}]
    return of


def drawn_of(options: Setup, of: Task) -> list[Trajectory]:
    service = Service(options)
    try:
        return [made for attempt in attempts_at(of, options) for made in drawn(service, attempt)]
    finally:
        service.close()


def test_far_from_all_references_is_stopped_and_drawn_again(tmp_path: Path) -> None:
    options = setup(
        engine=script(tmp_path, FAR, NEAR),
        patience=3,
        redraws=2,
        journals=str(tmp_path / "calls"),
    )
    cut, kept = drawn_of(options, guided())
    assert cut.exit.kind == "stopped" and "away from every reference" in cut.exit.detail
    assert len(cut.calls) == 3 and "never" not in (cut.patch or ""), "the fourth step was not taken"
    assert kept.exit.kind == "submitted" and "a + b" in (kept.patch or "")
    (attempt,) = attempts_at(guided(), options)
    assert kept.id == attempt.id and cut.id != kept.id, "the sample keeps its id"
    assert cut.group_id == f"{kept.group_id}:cut" and (cut.group_size, kept.group_size) == (1, 1)
    assert len(list((tmp_path / "calls").glob("*.jsonl"))) == 2, "each draw has a journal of its own"


def test_the_last_draw_stands_and_no_reference_stops_nobody(tmp_path: Path) -> None:
    options = setup(engine=script(tmp_path, FAR, FAR, NEAR), patience=3, redraws=1)
    assert [made.exit.kind for made in drawn_of(options, guided())] == ["stopped", "stopped"]
    assert [made.exit.kind for made in drawn_of(options, task())] == ["submitted"]
    with pytest.raises(UsageError, match="drawn again"):
        setup(engine="nop", redraws=1).check()


def by_patch(made: Trajectory, of: Task) -> Trajectory:
    """Good is what changes calc.py."""
    passed = "calc.py" in (made.patch or "")
    made.verdict = Verdict(reward=float(passed), passed=passed, masked="masked" in (made.patch or ""))
    return made


@pytest.mark.parametrize(
    ("good", "rules", "drawn_samples"),
    [
        ({1}, {}, 4),
        (set(), {"probe": 2}, 2),  # hopeless: the rest is left out
        ({0, 1, 2, 3}, {"probe": 2}, 2),  # too easy
        ({1}, {"probe": 2}, 4),  # undecided: all are drawn
        ({5}, {"resample": 9}, 8),  # level; the next round has one that differs
        (set(), {"resample": 3}, 7),  # level to the end
        (set(), {"probe": 2, "resample": 9}, 2),
    ],
)
def test_groups_are_drawn_by_rule(tmp_path: Path, good: set[int], rules: dict[str, int], drawn_samples: int) -> None:
    engine = script(tmp_path, *[NEAR if n in good else [] for n in range(16)])
    options = setup(engine=engine, samples=4, **rules)
    of = task()
    found = []
    for jobs in (1, 4):
        whole = Groups(options, Roller(options), by_patch, jobs)
        try:
            done = list(run(whole, groups([Line(of, encode(of), 1, "")], options), jobs))
        finally:
            whole.close()
        assert [each.failed for each in done] == [None, None]
        found.append(done[1].output)
        assert done[1].item.key == f"kat.trajectory/1:{found[-1][0].id}", "what --resume looks for"
    assert [made.sample_index for made in found[0]] == list(range(drawn_samples))
    assert {made.group_size for made in found[0]} == {drawn_samples}
    assert [made.patch for made in found[0]] == [made.patch for made in found[1]], "whatever -j"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b"".join(encode(task(f"calc-{n}")) + b"\n" for n in range(2)))
    return path


def rollout(*args: Any) -> tuple[list[Any], dict[str, Any]]:
    command = ["kat-rollout", *map(str, args), "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [r for r in records if r["schema"] == "kat.trajectory/1"], json.loads(done.stderr.splitlines()[-1])


def test_rules_grade_for_real_and_totals_add_up(tasks: Path) -> None:
    made, summary = rollout(tasks, "--scaffold", "nop", "--samples", 3, "--probe", 2, "-j", 4, "--prompt-price", 2)
    assert len(made) == 4 and {r["group_size"] for r in made} == {2}
    assert {r["verdict"]["reason"] for r in made} == {"no change"}
    usages = [call["usage"] for r in made for call in r["calls"]]
    assert summary["calls"] == len(usages) == 4
    assert summary["prompt_tokens"] == sum(usage["prompt_tokens"] for usage in usages) > 0
    assert summary["sampled_tokens"] == sum(usage["completion_tokens"] for usage in usages) > 0
    assert summary["dollars"] == pytest.approx(summary["prompt_tokens"] * 2e-6, abs=1e-6)
    assert summary["agent_s"] == pytest.approx(sum(r["timing"]["agent"] for r in made), abs=1e-3)


def test_a_box_that_is_not_ready_in_time_says_nothing_about_the_agent(tmp_path: Path) -> None:
    of = task()
    of.environment.setup = ["sleep 30"]
    soon = RolloutOptions(agent=AgentOptions(engine=script(tmp_path, NEAR)), times=TimeOptions(boot_timeout=0.5))
    service = Service(Setup(soon))
    try:
        (attempt,) = attempts_at(of, service.setup)
        made = roll(service, attempt)
    finally:
        service.close()
    assert made.exit.kind == "sandbox" and "not ready after 0.5 s" in made.exit.detail and made.patch is None


def test_a_terminal_shows_what_is_under_way(tasks: Path, tmp_path: Path) -> None:
    engine = script(tmp_path, [bash("true"), bash("sleep 4")])
    mine, theirs = pty.openpty()
    command = ["kat-rollout", str(tasks), "--engine", engine, "-j", "2", "-o", str(tmp_path / "out.jsonl")]
    process = subprocess.Popen(command, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(mine, 65536)
        except OSError:  # the other side is closed
            break
    os.close(mine)
    assert process.wait(60) == 0
    assert b"running 2" in seen and b"calls 4" in seen and b"sampled_tokens" in seen
    assert b"calls 6" in seen.splitlines()[-1]


def written(out: Path) -> int:
    """Trajectories that the journal of an output knows."""
    entries, _ = load_journal(out.with_name(f"{out.name}.journal"), out.with_name(f"{out.name}.part"))
    return sum(key.startswith("kat.trajectory/") for entry in entries for key in entry.keys)


@pytest.mark.parametrize("order", [[], ["--ordered"]])
def test_what_ended_out_of_turn_survives_the_kill(tasks: Path, tmp_path: Path, order: list[str]) -> None:
    """The first sample takes long: the others have ended, and are written or, in order, wait for their turn."""
    out = tmp_path / "out.jsonl"
    engine = script(tmp_path, [bash("true"), bash("sleep 50")], NEAR, NEAR, NEAR)
    args = [tasks, "--engine", engine, "--samples", 4, "-j", 8, "-o", out, "--resume", *order]
    first = subprocess.Popen(["kat-rollout", *map(str, args)], stderr=subprocess.DEVNULL)
    calls = tmp_path / "out.jsonl.calls"
    until(lambda: len(list(calls.glob("*.done"))) == 6)
    if not order:
        until(lambda: written(out) == 6)
    first.send_signal(signal.SIGKILL)
    first.wait()
    ended = {path.read_bytes().strip() for path in calls.glob("*.done")}
    script(tmp_path, NEAR, FAR, FAR, FAR)  # who is made anew would differ
    _, summary = rollout(*args)
    assert (summary.get("taken_back", 0), summary["skipped"]) == ((6, 0) if order else (0, 6))
    assert (summary["cut_off"], summary["cut_off_calls"]) == (2, 4)
    lines = [line for line in out.read_bytes().splitlines() if b'"kat.trajectory/1"' in line[:40]]
    assert len(lines) == 8 and ended < set(lines)
    (one, other) = calls.iterdir()
    assert all(".cut-1" in path.name and len(journal.read_journal(path).calls) == 2 for path in (one, other))
