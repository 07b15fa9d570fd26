"""One odd row among good ones: it is kept, becomes a dead letter with file and line, or is refused by file and line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from katcore.dataset.formats import FORMATS
from katcore.records import Task
from katcore.streams import read_records
from tests.support.dataset_commands import kat, write_folder
from tests.support.dataset_rows import HARBOR, LITE, ROWS, SWE_SMITH, Row
from tests.support.foreign_rows import OPENAI


def named(number: int, **fields: Any) -> Row:
    return {**LITE, "instance_id": f"own__proj-{number}", **fields}


def write(path: Path, *rows: Row | bytes) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return path


def mined(source: Path, name: str = "swe-bench") -> tuple[list[Task], list[Row], str, int]:
    """Tasks, dead letters, standard error and exit status; what was written is read as the next command reads it."""
    out, dead = source.with_name("out.jsonl"), source.with_name("dead.jsonl")
    done = kat("kat-mine", "tasks", "--from", name, source, "-o", out, "--dead-letter", dead)
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    tasks = [line.record for line in read_records([out], (Task,))] if out.exists() else []
    letters = [json.loads(line) for line in dead.read_text().splitlines()] if dead.exists() else []
    return tasks, letters, done.stderr, done.returncode  # type: ignore[return-value]


ODD: dict[str, tuple[Row, str]] = {
    "half a surrogate pair": (named(1, problem_statement="cut emoji \ud83d"), "surrogates not allowed"),
    "half a surrogate pair as a field's name": (named(1, **{"\ud83d": 1}), "surrogates not allowed"),
    "a time far away": (named(1, created_at=1e30), "1e+30 is no time"),
    "a time before all others": (named(1, created_at="0001-01-01T00:00:00+14:00"), "is no time"),
    "no time at all": (named(1, created_at=True), "True is no time"),
    "an object as a text": (named(1, patch={"a": 1}), "patch is not text"),
    "tests that are no list": (named(1, FAIL_TO_PASS={"a": 1}), "FAIL_TO_PASS is not a list of texts"),
    "a set's names that are no texts": (named(1, datasets=[["x"]], split=["test"]), "split is not text"),
}


@pytest.mark.parametrize("odd, why", ODD.values(), ids=ODD)
def test_an_odd_row_is_a_dead_letter_and_the_others_are_kept(odd: Row, why: str, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", named(0), odd, named(2))
    tasks, letters, stderr, code = mined(source)
    assert code == 3
    assert [task.instance_id for task in tasks] == ["own__proj-0", "own__proj-2"]
    (letter,) = letters
    assert (letter["file"], letter["line"], letter["kind"]) == (str(source), 2, "row")
    assert why in letter["error"] and f"{source}: line 2" in stderr
    assert letter["record"] == odd


@pytest.mark.parametrize("level", [{"files": 1}, [1], True, "hard", None])
def test_a_difficulty_that_is_none_of_ours_is_null_and_comes_back(level: Any, tmp_path: Path) -> None:
    row = named(1, difficulty=level)
    (task,), letters, _, code = mined(write(tmp_path / "rows.jsonl", row))
    assert (code, letters, task.difficulty) == (0, [], None)
    kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "back")
    assert json.loads((tmp_path / "back/tasks.jsonl").read_text()) == row


VALUES: tuple[Any, ...] = (True, 7, 1.5, ["x"], {"a": [1]}, [{"a": 1}], "\0\ud800")


@pytest.mark.parametrize("name, row", [(name, row) for name, _, row in ROWS], ids=[f"{a}-{b}" for a, b, _ in ROWS])
def test_no_field_of_any_format_ends_the_stream(name: str, row: Row, tmp_path: Path) -> None:
    """Each field in turn holds what it should not: what is written, the next command reads."""
    rows = [{**row, field: value} for field in row for value in VALUES]
    tasks, letters, _, code = mined(write(tmp_path / "rows.jsonl", row, *rows, row), name)
    assert code in (0, 3) and len(tasks) + len(letters) == len(rows) + 2
    assert all(letter["file"] and letter["line"] for letter in letters)


def test_what_a_reader_would_refuse_is_not_written(tmp_path: Path) -> None:
    """A format that takes a field as it is gives a record that is none: an image's name is a text."""
    folder = write_folder(tmp_path / "set" / "sum", {**HARBOR, "task.toml": "[environment]\ndocker_image = 3\n"})
    tasks, (letter,), _, code = mined(folder.parent, "harbor")
    assert (code, tasks) == (3, [])
    assert letter["stage"] == "output" and "Expected `str" in letter["error"] and "got `int`" in letter["error"]
    assert letter["file"] == str(folder)


@pytest.mark.parametrize(
    "data, place, why",
    [
        (b'{"a": "caf\xe9"}\n', "line 2", "not UTF-8"),
        (b'{"a": 1\n', "line 2", "not JSON"),
        (b"[1]\n", "line 2", "a row is a JSON object"),
    ],
)
def test_a_line_that_is_no_json_is_bad_input_with_file_and_line(
    data: bytes, place: str, why: str, tmp_path: Path
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(json.dumps(named(0)).encode() + b"\n" + data)
    _, _, stderr, code = mined(source)
    assert code == 4 and stderr.splitlines()[0].startswith(f"kat-mine: {source}: {place}: {why}")


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    row = json.dumps(named(1)).removesuffix("}") + ', "score": NaN, "other": [-Infinity, 1e999], "told": "NaN"}'
    _, _, _, code = mined(write(tmp_path / "rows.jsonl", row.encode()))
    assert code == 0
    kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "back")
    back = json.loads((tmp_path / "back/tasks.jsonl").read_text())
    assert back == {**named(1), "score": None, "other": [None, None], "told": "NaN"}
    odd = (row.removesuffix("}") + ', "patch": 1}').encode()
    _, (letter,), _, _ = mined(write(tmp_path / "rows.jsonl", odd))
    assert letter["record"]["score"] is None


# ----------------------------------------------------------------------------------------------- Parquet, folders


def parquet(path: Path, name: str, column: pa.Array) -> Path:
    table = pa.Table.from_pylist([named(number) for number in range(len(column))])
    pq.write_table(table.append_column(name, column), path)
    return path


@pytest.mark.parametrize(
    "column, why",
    [
        (pa.array([b"x", b"\xff\xfe", b"z"], pa.binary()).view(pa.string()), "can't decode byte 0xff"),
        (pa.array([0, 1_700_000_000_123_456_789, 1000], pa.timestamp("ns")), "Nanosecond resolution"),
    ],
    ids=["text that is not UTF-8", "a time finer than microseconds"],
)
def test_a_value_of_parquet_that_cannot_be_read_is_one_row_s(column: pa.Array, why: str, tmp_path: Path) -> None:
    source = parquet(tmp_path / "rows.parquet", "odd", column)
    tasks, (letter,), _, code = mined(source)
    assert code == 3
    assert [task.instance_id for task in tasks] == ["own__proj-0", "own__proj-2"]
    assert (letter["file"], letter["line"]) == (str(source), 2)
    assert "odd cannot be read" in letter["error"] and why in letter["error"]
    assert letter["record"]["instance_id"] == "own__proj-1"


def test_types_of_parquet_that_json_has_not_become_text(tmp_path: Path) -> None:
    values = [{"d": Decimal("1.50"), "f": float("nan"), "t": [1_000_000]}]
    kind = pa.struct([("d", pa.decimal128(5, 2)), ("f", pa.float64()), ("t", pa.list_(pa.time64("us")))])
    _, letters, _, code = mined(parquet(tmp_path / "rows.parquet", "odd", pa.array(values, kind)))
    assert (code, letters) == (0, [])
    kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "back")
    back = json.loads((tmp_path / "back/tasks.jsonl").read_text())
    assert back["odd"] == {"d": "1.50", "f": None, "t": ["00:00:01"]}


def test_one_bad_folder_among_good_ones_is_a_dead_letter(tmp_path: Path) -> None:
    for number in range(3):
        write_folder(tmp_path / "set" / f"task-{number}", {**HARBOR, "task.toml": "[metadata]\n"})
    (tmp_path / "set/task-1/task.toml").write_text("= broken")
    tasks, (letter,), _, code = mined(tmp_path / "set", "harbor")
    assert (code, len(tasks)) == (3, 2)
    assert letter["file"] == str(tmp_path / "set/task-1")

    tree = {"task.yaml": json.dumps(named(0)), "tests.json": "{}"}
    for number in range(3):
        write_folder(tmp_path / "tree/tasks" / f"own__proj-{number}", tree)
    (tmp_path / "tree/tasks/own__proj-1/task.yaml").write_text("a: &a [*a]\nb: {")
    tasks, (letter,), _, code = mined(tmp_path / "tree")
    assert (code, len(tasks)) == (3, 2)
    assert letter["file"] == str(tmp_path / "tree/tasks/own__proj-1")


# -------------------------------------------------------------------------------------------------------- patches


@pytest.mark.parametrize("odd", ["\f", "\x1c+x", "\u2028 ", "\x85", "\v-x", "\r\u2029"], ids=repr)
def test_only_newlines_end_the_lines_of_a_patch(odd: str, tmp_path: Path) -> None:
    head = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,3 +1,3 @@\n"
    row = {**SWE_SMITH, "patch": f"{head} a = '{odd}'\n b = 2\n-c = 3\n+c = 4\n"}
    (task,), _, _, _ = mined(write(tmp_path / "rows.jsonl", row), "swe-smith")
    assert task.patch == f"{head} a = '{odd}'\n b = 2\n+c = 3\n-c = 4\n"


@pytest.mark.parametrize("odd", ["\f", "\x1c", "\u2028", "\x85", "\v"], ids=repr)
def test_only_newlines_end_the_lines_of_code_and_cases(odd: str) -> None:
    kind = FORMATS["functions"]
    row = {
        "task_id": 11,
        "text": "t",
        "code": "x = 1\n",
        "test_list": [f"assert f('{odd}') == 1\nassert g()", "assert h()"],
    }
    task = kind.to_task(row)
    assert f"    assert f('{odd}') == 1\n    assert g()\n" in (task.test_files["test_solution.py"].text or "")
    assert kind.from_task(task)["test_list"] == row["test_list"]
    kind = FORMATS["livecodebench"]
    row = next(row for name, _, row in ROWS if name == "livecodebench")
    called = {"input": json.dumps(f"a{odd}b", ensure_ascii=False) + "\n2", "output": "3", "testtype": "functional"}
    task = kind.to_task({**row, "public_test_cases": json.dumps([called]), "metadata": '{"func_name": "f"}'})
    assert (task.verification.rubric or {})["rules"][0]["cases"][0]["arguments"] == [f"a{odd}b", 2]


# --------------------------------------------------------------------------------------------------------- export


def test_no_two_tasks_share_a_folder(tmp_path: Path) -> None:
    ids = ["a b", "a-b", "A-B", "a/b", "a\0b", "x" * 300, "x" * 301, "..", ""]
    source = write(tmp_path / "rows.jsonl", *(named(0, instance_id=id, problem_statement=repr(id)) for id in ids))
    tasks, _, _, _ = mined(source)
    done = kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "exp")
    assert done.returncode == 0, done.stderr
    folders = sorted(path.name for path in (tmp_path / "exp/tasks").iterdir())
    assert len({name.casefold() for name in folders}) == len(ids) == len(folders)
    assert "a-b" in folders and all(len(name) < 255 for name in folders)
    said = {(path / "problem_statement.md").read_text() for path in (tmp_path / "exp/tasks").iterdir()}
    assert said == {task.problem_statement for task in tasks}


def test_a_task_that_comes_twice_is_written_once_and_named(tmp_path: Path) -> None:
    mined(write(tmp_path / "rows.jsonl", named(0, problem_statement="one"), named(0, problem_statement="two")))
    done = kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "exp")
    assert done.returncode == 3 and "own__proj-0: another task of this id" in done.stderr
    assert [path.read_text() for path in (tmp_path / "exp/tasks").glob("*/problem_statement.md")] == ["one"]
    assert len((tmp_path / "exp/tasks.jsonl").read_text().splitlines()) == 1


def test_an_export_over_an_old_one_leaves_nothing_of_it(tmp_path: Path) -> None:
    for extra in ({"notes.txt": {"text": "old", "mode": "100644"}}, {}):
        mined(write(tmp_path / "rows.jsonl", named(0, **extra)))
        kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "exp")
        assert (tmp_path / "exp/tasks/own__proj-0/notes.txt").exists() == bool(extra)
    assert [path.name for path in (tmp_path / "exp/tasks").iterdir()] == ["own__proj-0"]


@pytest.mark.parametrize("field", [3, {"format": "swe-bench", "difference": {"items": 3, "inner": [1]}}, "x"])
def test_what_others_put_beside_a_task_does_not_end_an_export(field: Any, tmp_path: Path) -> None:
    mined(write(tmp_path / "rows.jsonl", named(0), named(1), named(2)))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    lines[1]["dataset"] = field
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = kat("kat-build-env", "export", "--to", "swe-bench", tmp_path / "out.jsonl", "--out", tmp_path / "exp")
    assert done.returncode == 3 and "own__proj-1" in done.stderr and "internal error" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "exp/tasks").iterdir()) == ["own__proj-0", "own__proj-2"]


# --------------------------------------------------------------------------------------------------- trajectories


@pytest.mark.parametrize("odd", [{"messages": [{"role": "user", "content": "\ud83d"}]}, {**OPENAI, "\ud83d": 1}])
def test_a_trajectory_of_others_with_half_a_surrogate_pair_is_a_dead_letter(odd: Row, tmp_path: Path) -> None:
    source, dead, out = write(tmp_path / "rows.jsonl", OPENAI, odd, OPENAI), tmp_path / "dead", tmp_path / "out.jsonl"
    done = kat("kat-rollout", "convert", "--from", "openai", source, "-o", out, "--dead-letter", dead)
    assert done.returncode == 3 and "internal error" not in done.stderr
    assert len(out.read_text().splitlines()) == 2
    letter = json.loads(dead.read_text())
    assert (letter["file"], letter["line"], letter["record"]) == (str(source), 2, odd)
