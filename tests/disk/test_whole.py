"""A file is what it was or what it shall be, whoever looks and whatever ends the writer."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from katcore.disk.whole import PART, put, sync_tree, synced, whole, write_whole
from katcore.errors import KatError

FOR_EVER = """
import sys
from pathlib import Path
from katcore.disk.whole import write_whole
print("writing", flush=True)
while True:
    for letter in "ab":
        write_whole(Path(sys.argv[1]), letter * 200_000)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "ü\n")
    write_whole(tmp_path / "b", b"\0\r\n")
    assert (tmp_path / "a").read_bytes() == "ü\n".encode() and (tmp_path / "b").read_bytes() == b"\0\r\n"
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("round", range(3))
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path, round: int) -> None:
    path = tmp_path / "file"
    process = subprocess.Popen([sys.executable, "-c", FOR_EVER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not path.exists() and process.poll() is None:
        pass
    seen = [path.read_text() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert {*seen, path.read_text()} <= {"a" * 200_000, "b" * 200_000}
    assert names(tmp_path) in (["file"], ["file", f"file{PART}0"])
    write_whole(path, "c")
    assert names(tmp_path) == ["file"] and path.read_text() == "c"


HALF = """
import sys
from pathlib import Path
from katcore.disk.whole import whole
with whole(Path(sys.argv[1]), 0o600) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def half_written(path: Path) -> subprocess.Popen[str]:
    """A process that is writing the file."""
    command = [sys.executable, "-c", HALF, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    return process


def test_parts_of_dead_writers_are_removed_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _ in range(2):
        writers = [half_written(path) for _ in range(3)]
        assert names(tmp_path)[-3:] == [f"file{PART}{number}" for number in range(3)]
        for writer in (writers[0], writers[2]):
            writer.kill()
            writer.communicate()
        write_whole(path, "whole", 0o644)
        assert names(tmp_path) == ["file", f"file{PART}1"], "one is still writing"
        assert path.read_text() == "whole" and path.stat().st_mode & 0o777 == 0o644
        writers[1].communicate()
        assert names(tmp_path) == ["file"] and path.read_text() == "half"


def test_many_writers_at_once_take_no_part_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write() -> None:
        for number in range(40):
            write_whole(path, f"{number}" * 100)

    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(write) for _ in range(12)]:
            done.result()
    assert names(tmp_path) == ["file"] and len(set(path.read_text())) <= 2


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced_now(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        happened.append("folder" if folder else f"file of {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        happened.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced_now)
    monkeypatch.setattr(Path, "replace", replaced)
    write_whole(tmp_path / "x", "12345")
    assert happened == ["file of 5", "rename to x", "folder"]


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["x"]


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(KatError, match=f"^cannot write {path}: File too large$"):
            write_whole(path, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old" and names(tmp_path) == ["x"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KatError, match=r"cannot write .*/none/x: No such file or directory"):
        write_whole(tmp_path / "none" / "x", "")


def test_a_secret_is_nobody_else_s_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("")
    path.chmod(0o644)
    with whole(path, mode=0o600) as file:
        file.write(b"secret")
        file.flush()
        (part,) = [each for each in tmp_path.iterdir() if each != path]
        assert part.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_umask_decides_otherwise(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for text in ("first", "second"):
        write_whole(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == text


def test_a_device_and_a_pipe_are_written_to(tmp_path: Path) -> None:
    write_whole(Path("/dev/null"), "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_whole(tmp_path / "pipe", "through")
    reader.join()
    assert read == [b"through"] and names(tmp_path) == ["pipe"]


def test_two_at_once_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with whole(path) as first:
        first.write(b"first")
        write_whole(path, "second")
        first.write(b" and later")
    assert path.read_text() == "first and later"


def test_folders_and_links_are_put(tmp_path: Path) -> None:
    (tmp_path / "made" / "inner").mkdir(parents=True)
    with synced(tmp_path / "made" / "inner" / "x") as file:
        file.write(b"x")
    (tmp_path / "made" / "dangling").symlink_to("nowhere")
    sync_tree(tmp_path / "made")
    put(tmp_path / "made", tmp_path / "step-1")
    (tmp_path / "link").symlink_to("step-1")
    put(tmp_path / "link", tmp_path / "latest")
    assert (tmp_path / "latest" / "inner" / "x").read_bytes() == b"x"
    assert names(tmp_path) == ["latest", "step-1"]
