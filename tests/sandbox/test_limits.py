"""Greedy and endless programs: each is bounded, ends, and is reported as what it is."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from katcore.errors import SandboxError
from katcore.sandbox import PYTHON, Limits, limits
from tests.support.sandbox_cases import BOMB, KINDS, Make, running, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


HOG = "data = []\nfor _ in range(60): data.append(b'x' * (10 << 20))\nprint('all of it')"


@pytest.fixture(params=["group", "rlimits"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With this machine's cgroups (where there are none both are the same), and without any."""
    if request.param == "rlimits":
        monkeypatch.setattr(limits, "parents", lambda: ())
    return str(request.param)


def test_a_memory_hog_ends_and_the_box_goes_on(make: Make, means: str) -> None:
    box = make(limits=Limits(memory_mib=200))
    done = box.exec([PYTHON, "-c", HOG])
    assert done.code in (1, 137) and b"all of it" not in done.stdout
    assert said(box.exec("echo still here")) == "still here"
    assert said(make(limits=Limits(memory_mib=1000)).exec([PYTHON, "-c", HOG])) == "all of it"


@pytest.fixture
def grouped(kind: str, means: str) -> bool:
    """Whether a cgroup limits the whole box: an engine has them always, else it is as this machine allows."""
    return kind == "docker" or bool(limits.parents())


def test_memory_is_shared_by_the_processes_of_a_box(make: Make, grouped: bool) -> None:
    half = f"{PYTHON} -c 'import time; x = b\"x\" * (120 << 20); time.sleep(1)'"
    code = make(limits=Limits(memory_mib=200)).exec(f"{half} & {half} & wait -n && wait -n").code
    assert code == (137 if grouped else 0), "rlimits count for each process"


def test_a_fork_bomb_runs_out_of_processes(make: Make, grouped: bool, unprivileged: bool) -> None:
    made = int(said(make(limits=Limits(pids=50)).exec([PYTHON, "-c", BOMB])))
    if grouped or unprivileged:
        assert 10 < made < 60
    else:
        assert made == 400, "the kernel counts no processes of root; those of others: test_machines.py"


def test_a_shell_fork_bomb_ends_when_the_time_is_up(make: Make) -> None:
    box = make(limits=Limits(pids=40))
    assert box.exec("bomb() { bomb | bomb & }; bomb; sleep 30", timeout_s=1).code == 124
    assert said(box.exec("echo still here")) == "still here"


def test_a_huge_file_is_cut(make: Make, means: str) -> None:
    box = make(limits=Limits(file_mib=4))
    done = box.exec("dd if=/dev/zero of=big bs=1M count=20 2>/dev/null")
    assert done.code == 153
    assert len(box.get("big")) == 4 << 20


def test_endless_computing_is_ended(make: Make, means: str) -> None:
    assert make(limits=Limits(cpu_s=1)).exec("while :; do :; done", timeout_s=60).code == 137


def test_endless_output_is_cut_and_the_program_runs_to_its_end(make: Make) -> None:
    box = make(limits=Limits(output_bytes=1000))
    done = box.exec("head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; echo end >end; exit 3")
    assert (done.code, done.truncated, len(done.stdout), len(done.stderr)) == (3, True, 1000, 1000)
    assert box.get("end") == b"end\n"
    exact = box.exec("head -c 1000 /dev/zero")
    assert (exact.truncated, len(exact.stdout)) == (False, 1000)


def test_time_up_ends_the_whole_tree(make: Make, means: str) -> None:
    """Grandchildren in sessions of their own that ignore signals and hold the output open."""
    token = f"token-{secrets.token_hex(8)}"
    stubborn = f"trap '' TERM INT HUP; : {token}; while :; do echo x >>beat; sleep 0.05; done"
    box = make()
    done = box.exec(f'setsid -f bash -c "{stubborn}"; (bash -c "{stubborn}" &); {stubborn}', timeout_s=1)
    assert (done.code, done.timed_out) == (124, True)
    assert running(token) == []
    beat = box.get("beat")
    assert len(beat) > 2
    assert said(box.exec("sleep 0.3; cat beat")).encode() == beat.strip()


def test_what_was_said_before_the_time_was_up_is_kept(make: Make) -> None:
    done = make().exec("echo early; echo err >&2; sleep 60", timeout_s=1)
    assert (done.stdout, done.stderr, done.truncated) == (b"early\n", b"err\n", False)


def test_a_program_that_does_not_read_its_input_meets_the_time(make: Make) -> None:
    assert make().exec(["sleep", "60"], stdin=b"x" * 1_000_000, timeout_s=0.5).timed_out


@pytest.mark.parametrize("kind", ["bubblewrap"])
def test_no_zombie_is_left_to_an_init_that_may_not_care(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a box outlives bubblewrap by a moment; its number is known from the handle on it."""
    seen: list[int] = []
    real = os.pidfd_open

    def spy(pid: int) -> int:
        seen.append(pid)
        return real(pid)

    monkeypatch.setattr(os, "pidfd_open", spy)
    box = make()
    for command in ("true", "sleep 30 & exit 0", "kill -9 $$", "exit 3"):
        box.exec(command)
    box.exec(["sleep", "60"], timeout_s=0.2)
    assert len(seen) == 5
    assert not [pid for pid in seen if Path(f"/proc/{pid}").exists()]


def groups() -> list[Path]:
    return [path for place in limits.parents() for path in place.glob(f"{limits.PREFIX}*-test-*")]


@pytest.mark.parametrize("kind", ["bubblewrap"])
def test_groups_are_removed_with_their_box(make: Make) -> None:
    before = groups()
    box = make()
    box.exec("sleep 30 & exit 0")
    assert len(groups()) == len(before) + len(limits.parents())
    box.close()
    assert groups() == before


def test_version_2_takes_the_nearest_delegated_folder(tmp_path: Path) -> None:
    """A leaf with processes has no controllers for children; the folder above it has."""
    top = tmp_path / "cgroup"
    leaf = top / "user.slice" / "app.slice" / "run.scope"
    leaf.mkdir(parents=True)
    for folder, controllers in ((leaf, ""), (leaf.parent, "cpu memory pids\n"), (top, "cpu memory pids\n")):
        (folder / "cgroup.subtree_control").write_text(controllers)
    (tmp_path / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {top} cgroup2 rw 0 0\n")
    (tmp_path / "own").write_text("0::/user.slice/app.slice/run.scope\n")
    find = limits.parents.__wrapped__
    assert find(tmp_path / "mounts", tmp_path / "own") == (leaf.parent,)
    odd = b"tmpfs /a\fb\xe2\x80\xa8c\xe9 tmpfs rw 0 0\n"
    (tmp_path / "mounts").write_bytes(odd + f"cgroup2 {top} cgroup2 rw 0 0\n".encode())
    assert find(tmp_path / "mounts", tmp_path / "own") == (leaf.parent,)
    (leaf.parent / "cgroup.subtree_control").write_text("cpu pids\n")
    assert find(tmp_path / "mounts", tmp_path / "own") == (top,)
    (tmp_path / "mounts").write_text("proc /proc proc rw 0 0\n")
    assert find(tmp_path / "mounts", tmp_path / "own") == ()


def test_a_group_that_cannot_be_made_is_an_error_or_none(tmp_path: Path) -> None:
    assert limits.group("name", Limits(), ()) is None
    assert limits.group("name", Limits(), (tmp_path / "gone",)) is None
    (tmp_path / f"{limits.PREFIX}name").write_text("in the way")
    with pytest.raises(SandboxError, match="no cgroup"):
        limits.group("name", Limits(), (tmp_path,))
