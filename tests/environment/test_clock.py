"""A task's own clock in real boxes: what moves with it, what does not, and what is told when it cannot work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.environment import clock
from katcore.environment.built import environment_mounts
from katcore.environment.variables import run_env
from katcore.errors import RecordError, SandboxError, UsageError
from katcore.records import Environment
from katcore.sandbox import PYTHON, Box, Spec, sandbox
from katcore.testrun.run import prepare

pytestmark = pytest.mark.slow

SHOWN = 1614834367  # 2021-03-04T05:06:07Z
KEPT = 1_700_000_000
TASK = Environment(env={"KAT_CLOCK": "2021-03-04T05:06:07Z"})

# What a program sees of clocks and files, and how long its waits take.
PROBE = r"""
import ctypes, json, multiprocessing, os, subprocess, sys, tempfile, threading, time
out, waits = {}, {}
def took(name, wait):
    begun = time.monotonic()
    wait()
    waits[name] = time.monotonic() - begun
def late():
    try:
        subprocess.run(["sleep", "9"], timeout=0.2)
    except subprocess.TimeoutExpired:
        pass
def cond_on_the_wall_clock():
    libc, far = ctypes.CDLL(None), (ctypes.c_long * 2)(int(time.time()) + 1, 0)
    libc.pthread_cond_timedwait(ctypes.create_string_buffer(64), ctypes.create_string_buffer(64), far)
out["begun"] = time.time()
took("sleep", lambda: time.sleep(0.2))
took("event", lambda: threading.Event().wait(0.2))
took("semaphore", lambda: multiprocessing.Semaphore(0).acquire(timeout=0.2))
took("subprocess", late)
took("condition", cond_on_the_wall_clock)
out["waits"], out["now"], out["monotonic"] = waits, time.time(), time.monotonic()
out["child"] = float(subprocess.run([sys.executable, "-c", "import time; print(time.time())"],
                                    capture_output=True, check=True).stdout)
out["date"] = subprocess.run(["date", "-u", "+%F"], capture_output=True, text=True, check=True).stdout.strip()
with open("/tmp/new", "w") as file:
    file.write("x")
out["new"] = os.stat("/tmp/new").st_mtime, os.stat(file.name).st_ctime
out["now after"] = time.time()
for name, when in (("old", 1_000_000_000), ("soon", int(time.time()) + 86400), ("far", 4_000_000_000)):
    os.utime("/tmp/new", (when, when))
    out[name] = os.stat("/tmp/new").st_mtime - when
with os.scandir("/tmp") as found:
    out["scanned"] = [entry.stat().st_mtime for entry in found if entry.name == "new"]
out["repository"] = os.stat("kept").st_mtime
def said(command):
    return subprocess.run(command, shell=True, capture_output=True, check=True, text=True).stdout.strip()
out["ls"] = said("ls -l --time-style=+%Y /tmp/new").split()[5]
os.mkdir("/tmp/g")
git = "git -C /tmp/g -c user.name=a -c user.email=a@b"
out["commit"] = int(said(f"{git} init -q; {git} commit -qm x --allow-empty; {git} log --format=%ct"))
out["shared memory"] = os.listdir("/dev/shm")
print(json.dumps(out))
"""


@pytest.fixture(params=["bubblewrap", "docker"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    if request.param == "docker":
        request.getfixturevalue("engine")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "kept").write_text("kept")
    os.utime(tmp_path / "repo" / "kept", (KEPT, KEPT))
    boxes = sandbox(request.param)
    made = boxes.create(Spec("clock", tmp_path / "repo", mounts=environment_mounts(TASK, boxes)))
    yield made
    made.close()


def probed(box: Box, command: str = PYTHON) -> dict[str, Any]:
    done = box.exec([command, "-c", PROBE], env=run_env(TASK, box))
    assert done.code == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_wall_clock_and_new_files_move_and_nothing_else_does(box: Box) -> None:
    shared = set(Path("/dev/shm").iterdir())
    found = probed(box)
    assert SHOWN <= found["begun"] < found["now"] < found["child"] < SHOWN + 60
    assert found["date"] == "2021-03-04" and SHOWN <= found["commit"] < SHOWN + 60
    assert abs(found["monotonic"] - time.monotonic()) < 60
    shortest = dict.fromkeys(("sleep", "event", "semaphore", "subprocess"), 0.19) | {"condition": 0.0}
    assert all(shortest[name] <= wait < 2.5 for name, wait in found["waits"].items()), found["waits"]
    assert all(found["child"] - 1 < stamp <= found["now after"] + 0.1 for stamp in found["new"])
    assert (found["old"], found["soon"], found["far"]) == (0, 0, 0)
    assert found["scanned"] == [4_000_000_000] and found["ls"] == "2096"
    assert found["repository"] == KEPT
    assert found["shared memory"] == [] and not [
        path for path in set(Path("/dev/shm").iterdir()) - shared if "kat" in path.name
    ]


def test_one_clock_runs_through_all_processes_of_a_box(box: Box) -> None:
    prepare(box, msgspec.structs.replace(TASK, setup=["date +%s > /tmp/setup; sleep 1"]))
    setup = int(box.get("/tmp/setup"))
    done = box.exec("date +%s; stat -c %Y /tmp/setup", env=run_env(TASK, box))
    now, written = map(int, done.stdout.split())
    assert SHOWN <= setup <= written <= setup + 1 < now + 1 <= SHOWN + 61


def test_boxes_side_by_side_do_not_share_a_clock(tmp_path: Path) -> None:
    boxes = sandbox()
    years = {}
    made = {year: boxes.create(Spec("clock", mounts=clock.mounts(TASK))) for year in (1999, 2021, 2040)}
    try:
        for year, box in made.items():
            of = Environment(env={"KAT_CLOCK": f"{year}-06-01T12:00:00+02:00"})
            years[year] = box.exec("date +%Y-%H; touch /tmp/a; date -r /tmp/a +%Y", env=run_env(of, box)).stdout.split()
    finally:
        for box in made.values():
            box.close()
    assert years == {year: [f"{year}-10".encode(), f"{year}".encode()] for year in made}


def test_a_task_without_one_has_the_machines(tmp_path: Path) -> None:
    box = sandbox().create(Spec("clock", mounts=environment_mounts(Environment(), sandbox())))
    try:
        seen = run_env(Environment(), box)
        assert "LD_PRELOAD" not in seen and box.spec.mounts == ()
        assert abs(int(box.exec("date +%s", env=seen).stdout) - time.time()) < 60
    finally:
        box.close()


def test_a_librarys_own_preload_is_kept() -> None:
    box = sandbox().create(Spec("clock", mounts=clock.mounts(TASK)))
    try:
        env = TASK.env | {"LD_PRELOAD": "libm.so.6"}
        seen = run_env(Environment(env=env), box)["LD_PRELOAD"]
        assert seen == "/opt/kat-clock/clock.so:libm.so.6"
    finally:
        box.close()


def test_a_box_without_the_library_fails_and_does_not_run_at_another_time() -> None:
    box = sandbox().create(Spec("clock"))
    try:
        with pytest.raises(SandboxError, match=r"the task's clock does not work in this box: .*cannot be preloaded"):
            run_env(TASK, box)
    finally:
        box.close()


def test_a_machine_without_a_compiler_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = sandbox()
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="needs a C compiler") as caught:
        environment_mounts(TASK, boxes)
    assert caught.value.hint == "apt-get install gcc"


@pytest.mark.parametrize("text", ["2021-03-04", "tomorrow", "1970-01-01T00:00:00Z", "2021-13-01T00:00:00Z", ""])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--clock takes none, change or a time"):
        clock.chosen(text, "2021-03-04T05:06:07Z")
    with pytest.raises(RecordError, match="clock: the change's date"):
        clock.chosen("change", text)
    box = sandbox().create(Spec("clock", mounts=clock.mounts(TASK)))
    try:
        with pytest.raises(RecordError, match="environment: KAT_CLOCK is no time"):
            run_env(Environment(env={"KAT_CLOCK": text}), box)
    finally:
        box.close()


def test_choices() -> None:
    assert clock.chosen("none", "2021-03-04T05:06:07Z") == ""
    assert clock.chosen("change", "2021-03-04T07:06:07.123456+02:00") == "2021-03-04T05:06:07Z"
    assert clock.chosen("2022-01-01T00:00:00-01:00", "") == "2022-01-01T01:00:00Z"
