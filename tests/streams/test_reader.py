"""Reading: every way in which input can be wrong is found and named with file and line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from katcore.errors import InputError
from katcore.records import Sample, Task, Trajectory
from katcore.streams import read_records, splice

GOLDEN = Path(__file__).parent / "golden"
ONE = b'{"schema":"kat.sample/1","id":"a"}\n'
TWO = b'{"schema":"kat.sample/1","id":"b","later":{"x":[1,2.50]}}\n'


def ids(data: bytes) -> list[str]:
    return [line.record.id for line in read_records(stdin=io.BytesIO(data))]


def test_a_line_keeps_its_bytes_its_number_and_its_source(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n" + ONE + b"  \n\r\n" + TWO)
    lines = list(read_records([path]))
    assert [(line.number, line.source, line.kind) for line in lines] == [
        (2, str(path), "kat.sample/1"),
        (5, str(path), "kat.sample/1"),
    ]
    assert lines[1].raw + b"\n" == TWO


def test_no_path_and_a_dash_are_standard_input_among_files(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(ONE)
    sources = [line.source for line in read_records([path, "-", path], stdin=io.BytesIO(TWO))]
    assert sources == [str(path), "<stdin>", str(path)]
    assert ids(ONE) == ["a"]


def test_empty_input_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    assert list(read_records([tmp_path / "x.jsonl"])) == []
    assert ids(b"") == [] and ids(b"\n\n") == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_whole_whatever_the_pipe_delivers(size: int) -> None:
    class Drip(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, _: int = -1) -> bytes:
            piece, self.data = self.data[:size], self.data[size:]
            return piece

    assert [line.record.id for line in read_records(stdin=Drip(ONE + b"\n" + TWO))] == ["a", "b"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ONE + TWO[:-1], "<stdin>: line 2: truncated: the last line has no newline"),
        (ONE + b" ", "<stdin>: line 2: truncated"),
        (ONE + b"{'schema'}\n", "<stdin>: line 2: not JSON: "),
        (ONE + TWO[:20] + b"\n", "<stdin>: line 2: not JSON: "),
        (b"\x00\x01\x02\xff\xfe\n", "<stdin>: line 1: not JSON: "),
        (b"\x89PNG\r\n\x1a\n\x00", "<stdin>: line 1: not JSON: "),
        (b'{"schema":"kat.sample/1","id":"\xff"}\n', "<stdin>: line 1: not UTF-8"),
        (b'{"schema":"kat.sample/1","id":"a","unknown":"\xff"}\n', "<stdin>: line 1: not UTF-8"),
        (b'{"schema":"kat.sample/1","id":"a","weight":NaN}\n', "<stdin>: line 1: not JSON: "),
        (b'{"schema":"kat.sample/1","id":"a","unknown":[NaN]}\n', "<stdin>: line 1: not JSON: "),
        (b'{"schema":"kat.sample/1","id":"a","unknown":Infinity}\n', "<stdin>: line 1: not JSON: "),
        (b'{"schema":"kat.sample/1","id":"a","u":' + b"[" * 9000 + b"]" * 9000 + b"}\n", "line 1: nested too deeply"),
        (b'{"schema":"kat.sample/2","id":"a"}\n', "kat.sample/2: this version of KAT reads kat.sample/1"),
        (b'{"schema":"elsewhere/1","id":"a"}\n', "<stdin>: line 1: unknown schema 'elsewhere/1'"),
        (b'{"id":"a"}\n', "<stdin>: line 1: not a record of KAT"),
        (b'{"schema":1}\n', "<stdin>: line 1: not a record of KAT"),
        (b"[1]\n", "<stdin>: line 1: not a record of KAT"),
        (b'{"schema":"kat.sample/1"}\n', "kat.sample/1: Object missing required field `id`"),
        (b'{"schema":"kat.sample/1","id":"a","loss_spans":[[0,1],[2]]}\n', "at `$.loss_spans[1]`"),
        (b"PAR1\x15\x04\x15", "<stdin>: Parquet is read from a file, not from a pipe"),
    ],
)
def test_bad_input_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_records(stdin=io.BytesIO(data)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_records_ahead_of_a_bad_line_are_delivered() -> None:
    stream = read_records(stdin=io.BytesIO(ONE + b"{}\n"))
    assert next(stream).record.id == "a"
    with pytest.raises(InputError):
        next(stream)


def test_a_record_of_another_type_says_what_was_expected() -> None:
    with pytest.raises(InputError, match=r"line 1: kat.sample/1, where kat.task/1 or kat.trajectory/1 was expected"):
        list(read_records(kinds=(Task, Trajectory), stdin=io.BytesIO(ONE)))
    assert len(list(read_records(kinds=(Sample,), stdin=io.BytesIO(ONE)))) == 1


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"^{path}: {reason}$"):
            list(read_records([path]))


def test_empty_files_whose_format_has_no_empty_file_are_truncated(tmp_path: Path) -> None:
    for name in ("x.jsonl.zst", "x.parquet"):
        (tmp_path / name).touch()
        with pytest.raises(InputError, match="truncated"):
            list(read_records([tmp_path / name]))


def test_a_named_pipe_reads_like_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", f"cat {GOLDEN / 'task-1.jsonl'} > {fifo}"]):
        assert len(list(read_records([fifo]))) == 2


def test_closed_standard_input_is_named() -> None:
    code = "from katcore.streams import read_records\nlist(read_records())"
    done = subprocess.run(f"{sys.executable} -c '{code}' <&-", shell=True, capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("InputError: <stdin>: is closed")


def test_golden_records_are_read() -> None:
    kinds = {line.kind for line in read_records(sorted(GOLDEN.glob("*.jsonl")))}
    assert len(kinds) == 5


def test_splice_replaces_known_fields_and_leaves_the_bytes_of_others() -> None:
    raw = b'{"schema":"kat.sample/1","id":"a","later":{"x":[1, 2.50, 1e2]},"weight":1.0}'
    spliced = splice(raw, weight=2.0, text="\u00e9")
    assert b'"later":{"x":[1, 2.50, 1e2]}' in spliced
    (line,) = read_records(stdin=io.BytesIO(spliced + b"\n"))
    assert (line.record.weight, line.record.text) == (2.0, "\u00e9")
