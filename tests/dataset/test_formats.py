"""Every format's rows survive the way through kat.task field for field, and what tasks hold survives the other way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.dataset.formats import FORMATS, line_of, row_of
from katcore.dataset.origin import origin_of
from katcore.dataset.reverse import reverse
from katcore.errors import RecordError
from katcore.records import Task
from katcore.streams import Line, splice
from katcore.verify.rules import Constraints, Program, rules_of
from tests.support.dataset_rows import (
    HUMANEVAL,
    IFEVAL,
    LIVECODEBENCH,
    PATCH,
    ROWS,
    SWE_BENCH,
    SWE_BENCH_5,
    SWE_SMITH,
    Row,
)

IDS = [f"{name}-{variant}" for name, variant, _ in ROWS]


def read(raw: bytes) -> Line:
    return Line(msgspec.json.decode(raw, type=Task), raw, 1, "test")


@pytest.mark.parametrize("name, row", [(name, row) for name, _, row in ROWS], ids=IDS)
def test_a_row_comes_back_field_for_field(name: str, row: Row) -> None:
    row = {**row, "unknown": {"nested": [1, None, "ü"]}, "none": None}
    back = row_of(name, read(line_of(name, row)))
    assert json.dumps(back) == json.dumps(row)


@pytest.mark.parametrize("name, row", [(name, row) for name, _, row in ROWS], ids=IDS)
def test_a_task_comes_back_where_the_format_holds_it(name: str, row: Row) -> None:
    """A task without anything remembered: the row that it gives is read as the same task."""
    kind = FORMATS[name]
    task = kind.to_task(kind.from_task(kind.to_task(row)))
    assert kind.to_task(kind.from_task(task)) == task
    for field in ("instance_id", "problem_statement", "patch", "verification", "source"):
        if name == "multi-swe" and field in ("verification", "problem_statement"):
            continue  # three kinds of tests that tell are one list here; issues become title and body
        assert getattr(task, field) == getattr(kind.to_task(row), field), field


@pytest.mark.parametrize("name, row", [(name, row) for name, _, row in ROWS], ids=IDS)
def test_a_change_of_the_task_reaches_the_row(name: str, row: Row) -> None:
    raw = line_of(name, row)
    task = msgspec.json.decode(raw, type=Task)
    other = Task(**{**{f: getattr(task, f) for f in task.__struct_fields__}, "problem_statement": "anew\nand more"})
    changed = splice(raw, problem_statement="anew\nand more")
    assert read(changed).record == other
    back = row_of(name, read(changed))
    differ = {field for field in row if back[field] != row[field]}
    assert differ <= {"problem_statement", "question_content", "prompt", "text", "title", "body", "canonical_solution"}
    assert "anew" in json.dumps(back)


def test_a_list_that_was_json_text_is_written_anew_only_when_it_changed() -> None:
    raw = line_of("swe-bench", SWE_BENCH)
    verification = msgspec.json.decode(raw, type=Task).verification
    assert verification.FAIL_TO_PASS == ["a/t.py::test_f[log(photon / s)]", "a/t.py::test_é"]
    verification.FAIL_TO_PASS.pop()
    back = row_of("swe-bench", read(splice(raw, verification=verification)))
    assert back["FAIL_TO_PASS"] == ["a/t.py::test_f[log(photon / s)]"]
    assert back["PASS_TO_PASS"] == SWE_BENCH["PASS_TO_PASS"]
    assert back["hints_text"] == ""


def test_what_a_task_has_no_place_for_stays_out_of_its_own_fields() -> None:
    raw = line_of("swe-bench", SWE_BENCH_5)
    origin = origin_of(raw)
    assert origin is not None and origin.difference is not None
    assert origin.difference["fields"].keys() == {"image_assets"}
    assert origin.difference["inner"].keys() == {"version", "environment_setup_commit"}


def test_a_smith_patch_brings_the_bug_in_and_the_tasks_removes_it(tmp_path: Path) -> None:
    def git(*arguments: str, data: str | None = None) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, input=data).stdout

    git("init", "-q")
    (tmp_path / "a.py").write_text("def f():\n    return 1\n")
    (tmp_path / "gone.py").write_text("x\n")
    git("add", "-A")
    git("commit", "-qm", "good")
    (tmp_path / "a.py").write_text("def f():\n    return 2")
    (tmp_path / "gone.py").rename(tmp_path / "moved.py")
    (tmp_path / "a.py").chmod(0o755)
    git("add", "-A")
    bug = git("diff", "--cached", "-M")
    assert "rename from" in bug and "new mode" in bug and "No newline" in bug
    task = FORMATS["swe-smith"].to_task({**SWE_SMITH, "patch": bug})
    git("commit", "-qm", "bug")
    git("apply", "--index", data=task.patch)
    assert git("diff", "--cached", "HEAD~1") == ""
    assert reverse(reverse(bug)) == bug and reverse(reverse(PATCH)) == PATCH


@pytest.mark.parametrize("prompt", ["def f():\n", 'def f():\n    """x\f\x85y\r\n"""', ""])
@pytest.mark.parametrize("rest", ["\n    return '\u2028'\n", "    return 1"])
def test_a_solution_comes_back_whatever_its_lines_end_with(prompt: str, rest: str) -> None:
    row = {**HUMANEVAL, "prompt": prompt, "canonical_solution": rest}
    assert FORMATS["functions"].from_task(FORMATS["functions"].to_task(row)) == row


def test_hidden_cases_are_unpacked_without_running_anything() -> None:
    task = FORMATS["livecodebench"].to_task(LIVECODEBENCH)
    (rule,) = rules_of(task)
    assert isinstance(rule, Program) and task.verification.rubric["public"] == 1
    shown, hidden = rule.cases
    assert shown.stdin and not shown.call and (hidden.call, hidden.arguments) == ("total", [[1], 2])

    import base64
    import os
    import pickle
    import zlib

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("echo ran > /tmp/never",)

    packed = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(RecordError, match="no place in test cases"):
        line_of("livecodebench", {**LIVECODEBENCH, "private_test_cases": packed})


def test_constraints_lose_the_nulls_that_parquet_adds() -> None:
    task = FORMATS["ifeval"].to_task(IFEVAL)
    assert isinstance(rules_of(task)[0], Constraints)
    assert task.verification.rubric["rules"] == [
        {
            "check": "constraints",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
            "kwargs": [{}, {"relation": "at least", "num_words": 300}],
        }
    ]


@pytest.mark.parametrize(
    "name, row, why",
    [
        ("swe-bench", {}, "it has no instance_id"),
        ("swe-bench", {**SWE_BENCH, "FAIL_TO_PASS": "[1]"}, "FAIL_TO_PASS is not a list of texts"),
        ("swe-bench", {**SWE_BENCH, "created_at": "yesterday"}, "yesterday"),
        ("swe-smith", {**SWE_SMITH, "patch": "GIT binary patch\n"}, "cannot be reversed"),
        ("multi-swe", {**ROWS[8][2], "base": None}, "base is not an object"),
        ("ifeval", {**IFEVAL, "kwargs": []}, "of one length"),
        ("functions", {**HUMANEVAL, "entry_point": 3}, "entry_point is not text"),
        ("livecodebench", {**LIVECODEBENCH, "private_test_cases": "%%%"}, "cannot be read"),
    ],
)
def test_a_bad_row_is_one_clear_line(name: str, row: Row, why: str) -> None:
    with pytest.raises(RecordError, match=why) as error:
        line_of(name, row, "set.jsonl: line 7")
    assert "set.jsonl: line 7" in error.value.reason and "\n" not in error.value.reason
