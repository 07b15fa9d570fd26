"""Rows of other people's files: lines, arrays, documents, folders; what is no JSON is named with file and line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from katcore.errors import InputError
from katcore.streams.foreign import STDIN, read_rows


def rows(path: Path, data: bytes) -> list[tuple[object, str]]:
    path.write_bytes(data)
    return [(found.row, found.where.removeprefix(str(path))) for found in read_rows(path)]


NAMED = [({"instance_id": "x"}, ": x"), ({"instance_id": "y"}, ": y")]


@pytest.mark.parametrize(
    "data, found",
    [
        (b"", []),
        (b"\n \n", []),
        (b'\n{"a": 1}\n\n{"a": 2}', [({"a": 1}, ": line 2"), ({"a": 2}, ": line 4")]),
        ('{"a": 1}\r\n{"a": "\u2028\x85"}\n'.encode(), [({"a": 1}, ": line 1"), ({"a": "\u2028\x85"}, ": line 2")]),
        (b'[{"a": 1},\n {"a": 2}]', [({"a": 1}, ": element 1"), ({"a": 2}, ": element 2")]),
        (b'\n{\n"a": 1}\n', [({"a": 1}, "")]),
        (b'{"x": {"instance_id": "x"},\n "y": {"instance_id": "y"}}', NAMED),
    ],
)
def test_lines_arrays_and_documents(data: bytes, found: list[tuple[object, str]], tmp_path: Path) -> None:
    assert rows(tmp_path / "x.json", data) == found


@pytest.mark.parametrize(
    "data, why",
    [
        (b'{"a": 1}\n{"a": "\xe9"}\n', ": line 2: not UTF-8: invalid continuation byte"),
        (b'{"a": "\xe9"}\n{"a": 1}\n', ": line 1: not UTF-8: invalid continuation byte"),
        (b'[{"a": 1},\n{"a": "\xff"}]\n', ": line 2: not UTF-8: invalid start byte"),
        ('{"a": 1}\n'.encode("utf-16"), ": line 1: not UTF-8: invalid start byte"),
        (b'{"a": 1}\n\n{"a": }\n', ": line 3: not JSON: Expecting value"),
        (b'\n\n{"a": 1\n', ": line 4: not JSON: Expecting ',' delimiter"),
        (b'{"a": 1}\n{"a": ' + b"9" * 5000 + b"}\n", ": line 2: not JSON: Exceeds the limit"),
        (b'{"a": 1}\n' + b"[" * 100_000 + b"\n", ": line 2: not JSON: "),
        (b'{"a": 1}\n7\n', ": line 2: a row is a JSON object"),
        (b"[1]", ": element 1: a row is a JSON object"),
        (b'"text"', ": a row is a JSON object"),
    ],
)
def test_what_is_no_json_is_named_with_its_line(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        rows(tmp_path / "x.jsonl", data)
    assert str(error.value).startswith(f"{tmp_path / 'x.jsonl'}{why}")


def test_a_row_keeps_its_json_where_other_readers_take_it(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b' {"a":  1.50, "b": "\\ud83d"}\r\n{"a": NaN}\n')
    strict, ours = read_rows(tmp_path / "x.jsonl")
    assert strict.kept == b'{"a":  1.50, "b": "\\ud83d"}'
    assert ours.row == {"a": None} and json.loads(ours.kept) == {"a": None}


def test_a_folder_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no \.jsonl, .*file in it"):
        list(read_rows(tmp_path))
    (tmp_path / "b.json").write_text('{"b": 1}')
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "notes.txt").write_text("nothing")
    assert [found.row for found in read_rows(tmp_path)] == [{"a": 1}, {"b": 1}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n')))
    (found,) = read_rows(STDIN)
    assert (found.row, found.where, found.source, found.line) == ({"a": 1}, "<stdin>: line 1", "<stdin>", 1)
    with pytest.raises(InputError, match="No such file"):
        list(read_rows(tmp_path / "none"))
