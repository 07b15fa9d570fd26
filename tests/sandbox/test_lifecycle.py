"""The life of a box: created, assigned, watched, reclaimed; kept and started again; and runners that die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from katcore.errors import SandboxError
from katcore.sandbox import Box, Limits, Mount, Sandbox, Snapshot, Spec, inventory, limits
from katcore.sandbox.warm import Warm, warm
from tests.support import ROOT
from tests.support.sandbox_cases import KINDS, Make, Script, kept, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def kill(box: Box, kind: str, cache: Path) -> None:
    """End a box behind its back."""
    if kind == "docker":
        command = ["docker", "rm", "--force", *(path for path in kept(cache, box.spec.name) if "/" not in path)]
        subprocess.run(command, check=True, capture_output=True)
    else:
        for folder in (cache / "box").glob(f"*/{box.spec.name}-*"):
            shutil.rmtree(folder.resolve())


def test_status_tells_a_dead_box(make: Make, kind: str, cache: Path) -> None:
    box, dying = make(), make(name="dying")
    assert (box.status(), dying.status()) == ("ready", "ready")
    kill(dying, kind, cache)
    assert (box.status(), dying.status()) == ("ready", "dead")
    box.close()
    assert box.status() == "closed"


def test_a_snapshot_is_where_another_box_starts(make: Make, repo: Path) -> None:
    box = make()
    box.exec("rm -r pkg; mkdir pkg; echo 1 >pkg/new; echo more >>README; echo t >/tmp/t; ln -s README soft")
    snapshot = box.snapshot()
    box.exec("echo later >>README; rm soft")
    again = make(snapshot=snapshot)
    assert said(again.exec("cat README pkg/new /tmp/t; readlink soft")).split("\n") == [
        "content of README", "more", "1", "t", "README",
    ]  # fmt: skip
    assert again.changed() == ["README", "pkg/a.py", "pkg/b.py", "pkg/new", "pkg/sub/c.py", "soft"]
    assert said(again.exec("echo 2 >pkg/new; cat pkg/new")) == "2"
    assert said(make(snapshot=snapshot).exec("cat pkg/new")) == "1", "a snapshot does not change"


def test_a_snapshot_of_another_kind_is_refused(boxes: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"snapshot"):
        boxes.create(Spec("test", snapshot=Snapshot("other", "x")))


def test_the_next_box_like_the_last_two_waits_and_a_dead_one_is_replaced(
    boxes: Sandbox, kind: str, cache: Path
) -> None:
    ahead, spec = Warm(boxes), Spec("warm0", env={"A": "1"})
    used = []

    def use() -> None:
        box = ahead.create(Spec("warm0", env={"A": "1"}))
        assert box.spec == spec and said(box.exec("ls /tmp/used 2>&1 | wc -l; touch /tmp/used; echo $A")) == "1\n1"
        used.append(box)
        box.close()

    try:
        use()
        assert not kept(cache, "warm0"), "nobody has asked for such a box twice"
        use()
        until(lambda: len(kept(cache, "warm0")) == 1)
        (waiting,) = kept(cache, "warm0")
        use()
        until(lambda: bool(kept(cache, "warm0")) and kept(cache, "warm0") != [waiting])
        assert len(kept(cache, "warm0")) == 1, "no more than one waits"
        for folder in (cache / "box").glob("*/warm0-*"):
            shutil.rmtree(folder.resolve())
        if kind == "docker":
            subprocess.run(["docker", "rm", "-f", *kept(cache, "warm0")], check=True, capture_output=True)
        use()
        assert len(used) == len({id(box) for box in used})
        ahead.create(Spec("warm1")).close()
        until(lambda: not kept(cache, "warm0"))
    finally:
        ahead.close()
    assert not kept(cache, "warm0") and not kept(cache, "warm1")


def test_threads_have_boxes_of_their_own_that_end_with_them(boxes: Sandbox, cache: Path) -> None:
    ahead = Warm(boxes)
    names: list[str] = []
    together = threading.Barrier(3)

    def work(number: int) -> None:
        for _ in range(3):
            box = ahead.create(Spec("threaded"))
            names.append(said(box.exec(f"cat /tmp/name 2>/dev/null; echo {number} >/tmp/name")))
            box.close()
        together.wait(60)  # the box of one that ended before another asks would be gone

    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert names == [""] * 9, "no box is given out twice"
        until(lambda: len(kept(cache, "threaded")) == 3)
        ahead.create(Spec("other")).close()
        until(lambda: not kept(cache, "threaded"))
    finally:
        ahead.close()


def test_a_box_that_nobody_takes_is_closed(boxes: Sandbox, cache: Path) -> None:
    ahead = Warm(boxes, idle_s=0.5)
    try:
        for _ in range(2):
            ahead.create(Spec("idle")).close()
        until(lambda: bool(kept(cache, "idle")))
        until(lambda: not kept(cache, "idle"))
        box = ahead.create(Spec("idle"))
        assert said(box.exec("echo new")) == "new"
        box.close()
    finally:
        ahead.close()


def test_a_box_that_reaches_outside_is_not_started_ahead(boxes: Sandbox, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "written").mkdir()
    ahead, spec = Warm(boxes), Spec("outside", mounts=(Mount(tmp_path / "written", "/opt/env", writable=True),))
    try:
        for _ in range(3):
            ahead.create(spec).close()
        time.sleep(0.3)
        assert not kept(cache, "outside")
    finally:
        ahead.close()


def test_only_what_is_slow_to_start_is_started_ahead(boxes: Sandbox, kind: str) -> None:
    assert isinstance(warm(boxes), Warm) == (kind == "docker")


def test_the_disk_of_a_box_is_watched(make: Make) -> None:
    box = make(limits=Limits(disk_mib=20))
    done = box.exec("for n in 1 2 3 4 5 6 7 8 9; do head -c 5000000 /dev/zero >f$n; done; sleep 30", timeout_s=20)
    assert (done.code, done.limit, done.timed_out) == (153, "disk", False)
    assert said(box.exec("rm f*; echo still here")) == "still here"


def test_processors_are_shared_out(make: Make) -> None:
    if not limits.parents():
        return
    spin = "/opt/python/bin/python3 -c 'import time; e = time.monotonic() + 1\nwhile time.monotonic() < e: pass\n"
    used = float(said(make(limits=Limits(cpus=0.25)).exec(spin + "print(time.process_time())'")))
    assert used < 0.5


DYING = """
import sys
from pathlib import Path
from katcore.sandbox import Spec, sandbox
box = sandbox(sys.argv[1]).create(Spec("orphan", repo=Path(sys.argv[2])))
box.exec("echo x >file")
print("ready", flush=True)
box.exec(f"exec sleep 32{sys.argv[3]}")
"""


WAITING = """
import sys, time
from katcore.sandbox import Spec, sandbox
from katcore.sandbox.warm import Warm
boxes = Warm(sandbox(sys.argv[1]))
for _ in range(2):
    boxes.create(Spec("ahead")).close()
print("ready", flush=True)
if sys.argv[2] == "killed":
    time.sleep(99)
"""


FIRST = """
import threading
from katcore.sandbox import owner
together = threading.Barrier(16)
def first():
    together.wait()
    owner.owned()
threads = [threading.Thread(target=first) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(list(owner.owned().parent.iterdir())))
"""


def test_threads_that_make_the_first_boxes_share_a_folder_and_a_reaper(script: Script, tmp_path: Path) -> None:
    assert script(FIRST, KAT_CACHE=str(tmp_path)).stdout == "1\n"


@pytest.mark.parametrize("way", ["killed", "done"])
def test_a_runner_that_is_gone_leaves_no_box_that_waits(boxes: Sandbox, cache: Path, way: str) -> None:
    command = [sys.executable, "-c", WAITING, boxes.name, way]
    runner = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    assert runner.stdout and runner.stdout.readline() == b"ready\n"
    if way == "killed":
        until(lambda: bool(kept(cache, "ahead")))
        runner.kill()
    assert runner.wait(30) == (0 if way == "done" else -signal.SIGKILL)
    runner.stdout.close()
    until(lambda: not kept(cache, "ahead"))


def test_a_killed_runner_leaves_nothing(boxes: Sandbox, cache: Path, repo: Path) -> None:
    """Nobody comes after it to clean up."""
    number = str(os.getpid())
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DYING, boxes.name, str(repo), number]
    runner = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    assert runner.stdout and runner.stdout.readline() == b"ready\n"
    assert kept(cache, "orphan")
    assert [row for row in inventory.boxes() if "orphan" in row.box and row.held]
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdout.close()
    until(lambda: not kept(cache, "orphan"))
    until(lambda: not [path for place in limits.parents() for path in place.glob("kat-*-orphan-*")])
    assert not [row for row in inventory.boxes() if "orphan" in row.box]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not happen in 10 s")
