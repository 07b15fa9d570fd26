"""The life of a box: created, assigned, watched, reclaimed; kept and started again; and runners that die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_cases import KINDS, ROOT, Make, kept, said

from katcore.errors import SandboxError
from katcore.sandbox import Box, Limits, Sandbox, Snapshot, Spec, inventory, limits
from katcore.sandbox.warm import WarmQueue


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


def test_a_warm_queue_gives_boxes_in_order_and_replaces_dead_ones(boxes: Sandbox, kind: str, cache: Path) -> None:
    specs = [Spec(f"warm{n}") for n in range(4)]
    taken = []
    with WarmQueue(boxes, specs, ahead=2) as queue:
        until(lambda: bool(kept(cache, "warm0")) and bool(kept(cache, "warm1")))
        assert not kept(cache, "warm2"), "no more than that wait"
        time.sleep(0.5)
        for folder in (cache / "box").glob("*/warm1-*"):
            shutil.rmtree(folder.resolve())
        if kind == "docker":
            subprocess.run(["docker", "rm", "-f", *kept(cache, "warm1")], check=True, capture_output=True)
        for _ in range(3):
            box = queue.take()
            assert box is not None
            taken.append((box.spec.name, box.exec(["true"]).code))
            box.close()
    assert taken == [("warm0", 0), ("warm1", 0), ("warm2", 0)]
    assert not [name for n in range(4) for name in kept(cache, f"warm{n}")], "what nobody took is closed"


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
