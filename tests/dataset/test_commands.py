"""`kat-mine tasks` and `kat-build-env export` on files and folders: the same fields come out that went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from katcore.dataset import files
from tests.support.dataset_commands import kat, write_folder
from tests.support.dataset_rows import HARBOR, LITE, ROWS, SWE_BENCH_5, Row


def through(name: str, source: Path, tmp_path: Path) -> Path:
    """Import, travel through Parquet, export: the folder."""
    tasks, out = tmp_path / "tasks.parquet", tmp_path / "out"
    done = kat("kat-mine", "tasks", "--from", name, source, "-o", tasks)
    assert done.returncode == 0, done.stderr
    done = kat("kat-build-env", "export", "--to", name, tasks, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", sorted({name for name, _, _ in ROWS}))
def test_json_lines_come_back(name: str, tmp_path: Path) -> None:
    rows = [row for kind, _, row in ROWS if kind == name]
    keys = ("instance_id", "question_id", "task_id", "key", "number")
    key = next(key for key in keys if key in rows[0])
    for number, row in enumerate(rows):
        rows[number] = {**row, key: f"{row[key]}-{number}" if isinstance(row[key], str) else row[key]}
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = through(name, source, tmp_path)
    back = [json.loads(line) for line in (out / "tasks.jsonl").read_text().splitlines()]
    assert back == rows
    assert [list(row) for row in back] == [list(row) for row in rows]


def test_parquet_with_real_types_is_read(tmp_path: Path) -> None:
    rows = [{**LITE, "instance_id": f"a__b-{number}", "meta": {"is_lite": True}} for number in range(3)]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "test-00000-of-00001.parquet")
    out = through("swe-bench", tmp_path / "data", tmp_path)
    assert [json.loads(line) for line in (out / "tasks.jsonl").read_text().splitlines()] == rows


def swe_tree(folder: Path) -> Path:
    meta = {
        name: value
        for name, value in SWE_BENCH_5.items()
        if name
        not in ("patch", "test_patch", "eval_script", "problem_statement", "hints_text", "FAIL_TO_PASS", "PASS_TO_PASS")
    }
    tests = {name: SWE_BENCH_5[name] for name in ("FAIL_TO_PASS", "PASS_TO_PASS")}
    place = f"tasks/{SWE_BENCH_5['instance_id']}"
    return write_folder(folder, {
        "sweb.yaml": yaml.safe_dump({"datasets": ["kat"], "splits": ["test"]}),
        f"{place}/task.yaml": yaml.safe_dump({**meta, "split": "test", "datasets": ["kat"], "note": "a\nb\n"}),
        f"{place}/tests.json": json.dumps(tests, indent=2) + "\n",
        f"{place}/gold.patch": SWE_BENCH_5["patch"].replace("one", "one\r"),
        f"{place}/test.patch": SWE_BENCH_5["test_patch"],
        f"{place}/eval.sh": SWE_BENCH_5["eval_script"],
        f"{place}/problem_statement.md": SWE_BENCH_5["problem_statement"],
        f"{place}/Dockerfile": "FROM scratch\n",
        f"{place}/test_assets/expected.png": bytes(range(256)),
    })  # fmt: skip


def test_a_task_tree_of_swe_bench_5_comes_back(tmp_path: Path) -> None:
    tree = swe_tree(tmp_path / "tree")
    out = through("swe-bench", tree, tmp_path)
    (out / "tasks.jsonl").unlink()
    before, after = files.read_folder(tree), files.read_folder(out)
    assert before.keys() == after.keys()
    for name in before:
        if name.endswith(".yaml"):
            assert yaml.safe_load(before[name]["text"]) == yaml.safe_load(after[name]["text"])
        elif name.endswith("eval.sh"):
            assert before[name]["text"] == after[name]["text"]
        else:
            assert before[name] == after[name], name


def test_harbor_folders_come_back_byte_for_byte(tmp_path: Path) -> None:
    source = tmp_path / "set"
    write_folder(source / "sum", HARBOR)
    (source / "sum" / "environment" / "link").symlink_to("numbers.txt")
    write_folder(source / "other", {**HARBOR, "task.toml": '[task]\nname = "org/other"\n'})
    out = through("harbor", source, tmp_path)
    assert files.read_folder(out) == files.read_folder(source)


@pytest.mark.parametrize(
    "name, content, code, said",
    [
        ("swe-bench", '{"instance_id": "a"}\n', 3, "it has no repo, base_commit"),
        ("swe-bench", "{", 4, "line 1: not JSON"),
        ("ifeval", "[3]", 4, "a row is a JSON object"),
        ("harbor", "{}", 4, "a folder with a task.toml"),
    ],
)
def test_bad_input_is_one_line(name: str, content: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    done = kat("kat-mine", "tasks", "--from", name, tmp_path / "rows.jsonl")
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_dataset_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "sum", HARBOR)
    done = kat("kat-mine", "tasks", "--from", "harbor", tmp_path / "set")
    task: Row = json.loads(done.stdout)
    task["dataset"]["difference"]["fields"]["../../evil"] = {"text": "x", "mode": "100644"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    done = kat("kat-build-env", "export", "--to", "harbor", tmp_path / "tasks.jsonl", "--out", tmp_path / "o")
    assert done.returncode == 3 and "outside" in done.stderr
    assert not (tmp_path / "evil").exists() and not (tmp_path / "o" / "evil").exists()


def test_a_finished_import_is_resumed_without_doubling(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({**LITE, "instance_id": f"a-{n}"}) + "\n" for n in range(3))
    )
    command = [
        "kat-mine",
        "tasks",
        "--from",
        "swe-bench",
        tmp_path / "rows.jsonl",
        "--resume",
        "-o",
        tmp_path / "t.jsonl",
    ]
    for _ in range(2):
        assert kat(*command).returncode == 0
        assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 3


def test_a_task_that_does_not_fit_a_format_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [SWE_BENCH_5]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kat("kat-mine", "tasks", "--from", "swe-bench", tmp_path / "rows.jsonl", "-o", tmp_path / "tasks.jsonl")
    done = kat("kat-build-env", "export", "--to", "harbor", tmp_path / "tasks.jsonl", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "astropy__astropy-12907: only tasks verified by tests with a JUnit report" in done.stderr
