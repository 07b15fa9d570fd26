"""Outputs: pipes, devices, full disks, readers that leave, and the files beside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from katcore.errors import KatError, UsageError
from katcore.records import Sample, encode
from katcore.streams import Output, open_output, read_records

STAGE = """
import sys
from pathlib import Path
from katcore.errors import ReaderLeft
from katcore.records import Sample, encode
from katcore.streams import open_output
path, fmt, count = sys.argv[1:4]
out = open_output(None if path == "-" else Path(path), fmt or None, False)
try:
    for n in range(int(count)):
        out.write(encode(Sample(id=str(n), text="x" * 1000)), "kat.sample/1")
        out.commit(f"kat.sample/1:{n}")
    out.finish()
except ReaderLeft:
    sys.exit(9)
"""


def stage(path: str, fmt: str, count: int, tail: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a stage in a process of its own, behind it a piece of shell."""
    script = f'"$1" -c "$2" {path} "{fmt}" {count} {tail}'
    command = ["bash", "-c", script + '; echo "${PIPESTATUS[0]}" >&2', "-", sys.executable, STAGE]
    return subprocess.run(command, capture_output=True, check=False)


def add(out: Output, *names: str) -> None:
    for name in names:
        out.write(encode(Sample(id=name)), "kat.sample/1")
        out.commit(f"kat.sample/1:{name}")


@pytest.mark.parametrize("fmt", ["", "zst", "parquet"])
def test_a_pipe_carries_every_format(tmp_path: Path, fmt: str) -> None:
    done = stage("-", fmt, 5, f"| cat > {tmp_path / 'x'}")
    assert done.stderr == b"0\n"
    assert [line.record.id for line in read_records([tmp_path / "x"])] == list("01234")


def test_lines_reach_the_reader_at_once() -> None:
    code = STAGE.replace("out.finish()", "input()")
    with subprocess.Popen(
        [sys.executable, "-c", code, "-", "", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert msgspec.json.decode(run.stdout.readline())["id"] == "0"  # while the stage waits for us
        run.communicate(b"\n")


@pytest.mark.parametrize("fmt", ["", "zst"])
def test_a_reader_that_leaves_is_told_apart_and_leaves_no_noise(fmt: str) -> None:
    done = stage("-", fmt, 9000, "| head -c 1 > /dev/null")
    assert done.stderr == b"9\n"


@pytest.mark.parametrize("fmt", ["", "zst", "parquet"])
def test_a_full_disk_is_named(fmt: str) -> None:
    for path, tail, name in (("/dev/full", "", "/dev/full"), ("-", "> /dev/full", "standard output")):
        done = stage(path, fmt, 5, tail)
        assert f"KatError: cannot write {name}: No space left on device\n1\n" in done.stderr.decode()


def test_a_file_system_that_fills_up_keeps_what_was_done(tmp_path: Path) -> None:
    limited = f"ulimit -f 40; trap '' XFSZ; {sys.executable} -c \"$1\" {tmp_path / 'x.jsonl'} '' 100"
    done = subprocess.run(["bash", "-c", limited, "-", STAGE], capture_output=True, text=True, check=False)
    assert "cannot write" in done.stderr and "x.jsonl.part: File too large" in done.stderr
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize("fmt", ["zst", "parquet"])
def test_binary_formats_do_not_go_to_a_terminal(fmt: str) -> None:
    command = f'{sys.executable} -c "$(cat)" - {fmt} 1'
    done = subprocess.run(
        ["script", "-qec", f"bash -c '{command}' < {_file(STAGE)}", "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"UsageError: {fmt} on a terminal" in done.stdout


def _file(text: str) -> str:
    read_end, write_end = os.pipe()
    os.write(write_end, text.encode())
    os.close(write_end)
    return f"/proc/{os.getpid()}/fd/{read_end}"


def test_a_device_takes_lines_as_they_come() -> None:
    out = open_output(Path("/dev/null"), None, False, rejects=Path("/dev/null"), dead_letters=Path("/dev/null"))
    add(out, "a")
    out.reject({"id": "b"})
    out.dead_letter({"id": "c"})
    out.finish()
    assert Path("/dev/null").is_char_device()


def test_files_appear_whole_and_all_together(tmp_path: Path) -> None:
    path, rejects, dead = (tmp_path / name for name in ("x.jsonl", "r.jsonl", "d.jsonl"))
    path.write_text("old\n")
    out = open_output(path, None, False, rejects=rejects, dead_letters=dead)
    add(out, "a")
    out.reject({"id": "b", "record": msgspec.Raw(b'{"x": 1}')})
    assert path.read_text() == "old\n" and not rejects.exists() and not dead.exists()
    out.finish()
    assert [line.record.id for line in read_records([path])] == ["a"]
    assert rejects.read_text() == '{"id":"b","record":{"x": 1}}\n' and dead.read_text() == ""
    assert sorted(tmp_path.iterdir()) == [dead, rejects, path]


def test_dead_letters_survive_a_stage_that_stops(tmp_path: Path) -> None:
    out = open_output(tmp_path / "x.jsonl", None, False, dead_letters=tmp_path / "d.jsonl")
    out.dead_letter({"id": "a"})
    out.abandon()
    assert (tmp_path / "d.jsonl").read_text() == '{"id":"a"}\n'


def test_dead_letters_start_afresh_with_each_run(tmp_path: Path) -> None:
    for resume in (False, True):
        out = open_output(tmp_path / "x.jsonl", None, resume, dead_letters=tmp_path / "d.jsonl")
        out.dead_letter({"resume": resume})
        add(out, f"a{resume}")
        out.abandon()
    assert (tmp_path / "d.jsonl").read_text() == '{"resume":true}\n'


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    link = tmp_path / "x.jsonl"
    link.symlink_to("data/y.jsonl")
    out = open_output(link, None, False)
    add(out, "a")
    out.finish()
    assert link.is_symlink() and [line.record.id for line in read_records([tmp_path / "data" / "y.jsonl"])] == ["a"]


def test_outputs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    with pytest.raises(UsageError, match="is a folder"):
        open_output(tmp_path, None, False)
    with pytest.raises(UsageError, match="the same name"):
        open_output(file, None, False, rejects=tmp_path / "." / "x.jsonl")
    with pytest.raises(UsageError, match="--resume needs"):
        open_output(None, None, True)
    with pytest.raises(KatError, match=r"none/x.jsonl.part: No such file or directory"):
        open_output(tmp_path / "none" / "x.jsonl", None, False)


def test_the_suffix_decides_and_a_format_overrules_it(tmp_path: Path) -> None:
    for name, fmt, magic in (
        ("a.zst", None, b"["),
        ("b.parquet", None, b"PAR1"),
        ("c", "zst", b"["),
        ("d.zst", "jsonl", b"{"),
    ):
        out = open_output(tmp_path / name, fmt, False)
        add(out, "a")
        out.finish()
        assert (tmp_path / name).read_bytes().startswith(magic)
        assert [line.record.id for line in read_records([tmp_path / name])] == ["a"]
