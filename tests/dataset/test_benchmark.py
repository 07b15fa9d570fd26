"""Which benchmark a task is of: what its row says, what its file is called, and null where nobody says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.dataset.benchmark import told_by_path
from katcore.dataset.formats import FORMATS, items, line_of
from katcore.records import Benchmark, Task
from tests.support.dataset_commands import kat, write_folder
from tests.support.dataset_rows import (
    HARBOR,
    HUMANEVAL,
    LITE,
    MBPP,
    ROWS,
    SWE_BENCH,
    SWE_REBENCH,
    SWE_REBENCH_V2,
    SWE_SMITH,
    VERIFIED,
)

OWN = {**SWE_BENCH, "repo": "somebody/else", "instance_id": "somebody__else-1"}


def benchmark_of(kind: str, row: dict[str, Any], path: str = "rows.jsonl") -> tuple[str | None, ...] | None:
    found = msgspec.json.decode(line_of(kind, row, path=Path(path)), type=Task).benchmark
    return None if found is None else msgspec.structs.astuple(found)


@pytest.mark.parametrize("kind, row", [(name, row) for name, _, row in ROWS])
def test_every_adapter_says_a_name(kind: str, row: dict[str, Any]) -> None:
    found = FORMATS[kind].to_task(row).benchmark
    assert found is not None and found.name == found.name.lower()


@pytest.mark.parametrize(
    "kind, row, wanted",
    [
        ("swe-bench", SWE_BENCH, ("swe-bench", None, "test")),
        ("swe-bench", {**SWE_BENCH, "repo": "pvlib/pvlib-python"}, ("swe-bench", None, "dev")),
        ("swe-bench", VERIFIED, ("swe-bench-verified", None, "test")),
        ("swe-bench", {**OWN, "datasets": ["a/SWE-bench_Lite"], "split": "dev"}, ("swe-bench-lite", None, "dev")),
        ("swe-bench", {**OWN, "image_assets": '{"a": 1}'}, ("swe-bench-multimodal", None, None)),
        ("swe-bench", OWN, None),
        ("swe-bench", {**OWN, "datasets": ["kat"], "split": "test", "difficulty": "1-4 hours"}, None),
        ("swe-bench", {**SWE_BENCH, "instance_id": "0123456789abcdef0123"}, None),
        ("swe-smith", SWE_SMITH, ("swe-smith", None, None)),
        ("swe-smith", {**SWE_SMITH, "repo": "somebody/else"}, None),
        ("swe-rebench", SWE_REBENCH, ("swe-rebench", None, None)),
        ("swe-rebench", SWE_REBENCH_V2, ("swe-rebench", "v2", None)),
        ("functions", HUMANEVAL, ("humaneval", None, None)),
        ("functions", {**HUMANEVAL, "task_id": "BigCodeBench/0"}, ("bigcodebench", None, None)),
        ("functions", {**HUMANEVAL, "task_id": "mine"}, None),
        ("functions", MBPP, ("mbpp", "full", "train")),
        ("functions", {"task_id": 11, "prompt": "p", "code": "c", "test_list": [], "test_imports": []},
         ("mbpp", "sanitized", "test")),
    ],
)  # fmt: skip
def test_what_the_row_says(kind: str, row: dict[str, Any], wanted: tuple[str | None, ...] | None) -> None:
    assert benchmark_of(kind, row) == wanted


@pytest.mark.parametrize(
    "kind, path, wanted",
    [
        ("swe-bench", "verified.parquet", ("swe-bench-verified", None, None)),
        ("swe-bench", "SWE-bench_Verified/data/test-00000-of-00001.parquet", ("swe-bench-verified", None, "test")),
        ("swe-bench", "datasets--princeton-nlp--SWE-bench_Lite/dev.jsonl", ("swe-bench-lite", None, "dev")),
        ("swe-bench", "swebench_verified_test.jsonl", ("swe-bench-verified", None, "test")),
        ("swe-bench", "SWE-bench/lite.jsonl", ("swe-bench-lite", None, None)),
        ("swe-bench", "rows.jsonl", (None, None, None)),
        ("swe-bench", "my-swe-bench/rows.jsonl", (None, None, None)),
        ("swe-bench", "swe-bench-windows.jsonl", (None, None, None)),
        ("multi-swe", "Multi-SWE-RL/data_20240601/go/x.jsonl", ("multi-swe-rl", None, None)),
        ("multi-swe", "multi_swe_bench_mini.jsonl", ("multi-swe-bench-mini", None, None)),
        ("swe-rebench", "nebius/SWE-rebench-V2/train.parquet", ("swe-rebench", "v2", "train")),
        ("livecodebench", "livecodebench_release_v6.jsonl", ("livecodebench", "v6", None)),
        ("functions", "/home/u/dev/data/humaneval.jsonl", ("humaneval", None, None)),
        ("functions", "/home/test/humaneval/problems.jsonl", ("humaneval", None, None)),
        ("functions", "/home/test/humaneval/dev/problems.jsonl", ("humaneval", None, "dev")),
        ("functions", "/home/test/mine/problems.jsonl", (None, None, None)),
        ("functions", "/home/test/mine/problems-test.jsonl", (None, None, "test")),
        ("functions", "/srv/humaneval/code/results/run-3/problems.jsonl", (None, None, None)),
        ("swe-bench", f"/test/hub/datasets--princeton-nlp--SWE-bench_Lite/snapshots/{40 * chr(97)}/"
         "data/dev-00000-of-00001.parquet", ("swe-bench-lite", None, "dev")),
        ("harbor", "/home/test/swe-bench/a", ("swe-bench", None, None)),
        ("harbor", "terminal-bench@2.0/swe-bench-langcodes", ("terminal-bench", "2.0", None)),
        ("harbor", "terminal-bench-2-1/a", ("terminal-bench", "2.1", None)),
    ],
)  # fmt: skip
def test_what_the_path_says(kind: str, path: str, wanted: tuple[str | None, ...]) -> None:
    assert told_by_path(kind, Path(path)) == wanted


def test_the_path_and_the_row_complete_each_other() -> None:
    assert benchmark_of("swe-bench", LITE, "SWE-bench_Lite/dev.jsonl") == ("swe-bench-lite", None, "test")
    assert benchmark_of("swe-bench", OWN, "SWE-Gym/train.jsonl") == ("swe-gym", None, "train")
    assert benchmark_of("swe-bench", VERIFIED, "swe-bench/x.jsonl") == ("swe-bench-verified", None, "test")
    assert benchmark_of("functions", HUMANEVAL, "humanevalplus-v0.1.10.jsonl") == ("humanevalplus", "v0.1.10", None)
    assert benchmark_of("swe-bench", OWN, "train.jsonl") is None, "a split of nothing that has a name"


def test_files_and_folders_are_read_with_it(tmp_path: Path) -> None:
    (tmp_path / "verified").mkdir()
    (tmp_path / "verified" / "test.jsonl").write_text(json.dumps(OWN) + "\n")
    (item,) = items("swe-bench", [tmp_path / "verified"])
    task = msgspec.json.decode(item.payload, type=Task)
    assert task.benchmark == Benchmark(name="swe-bench-verified", split="test")
    fields = {**OWN, "datasets": ["SWE-bench/SWE-bench_Lite"], "split": "dev"}
    tree = {"task.yaml": json.dumps(fields), "tests.json": json.dumps({"FAIL_TO_PASS": [], "PASS_TO_PASS": []})}
    (item,) = items("swe-bench", [write_folder(tmp_path / "tree" / "tasks" / "one", tree).parents[1]])
    assert msgspec.json.decode(item.payload, type=Task).benchmark == Benchmark(name="swe-bench-lite", split="dev")


def test_harbors_manifest_names_the_data_set_and_a_task_its_organisation(tmp_path: Path) -> None:
    manifest = '[dataset]\nname = "org/aider-polyglot"\nversion = "1.0"\n'
    write_folder(tmp_path / "set", {"dataset.toml": manifest} | {f"a/{name}": data for name, data in HARBOR.items()})
    write_folder(tmp_path / "mine" / "b", HARBOR)
    write_folder(tmp_path / "mine" / "c", {**HARBOR, "task.toml": '[task]\nname = "terminal-bench/c"\n'})
    found = [
        msgspec.json.decode(item.payload, type=Task).benchmark
        for item in items("harbor", [tmp_path / "set", tmp_path / "mine"])
    ]
    assert found == [Benchmark(name="aider-polyglot", version="1.0"), None, Benchmark(name="terminal-bench")]


@pytest.mark.parametrize(
    "manifest",
    ['dataset = "x"', "[[dataset]]\nname = 'x'", "[dataset]\nname = 1", "dataset = " + "[" * 9999, "[dataset", "x = 1"],
    ids=["text", "array", "number", "nested", "cut", "none"],
)
def test_a_damaged_manifest_names_nothing_and_the_tasks_are_read(tmp_path: Path, manifest: str) -> None:
    write_folder(tmp_path / "set", {"dataset.toml": manifest} | {f"a/{name}": data for name, data in HARBOR.items()})
    done = kat("kat-mine", "tasks", "--from", "harbor", tmp_path / "set")
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout, type=Task).benchmark is None


def test_a_manifest_s_version_is_text_or_a_number(tmp_path: Path) -> None:
    found = []
    for number, version in enumerate(('"2"', "2", "0", '""', "[2]")):
        manifest = {"dataset.toml": f'[dataset]\nname = "mine"\nversion = {version}\n'}
        folder = write_folder(tmp_path / str(number), manifest | {f"a/{name}": data for name, data in HARBOR.items()})
        (item,) = items("harbor", [folder])
        found.append(msgspec.json.decode(item.payload, type=Task).benchmark)
    assert found == [Benchmark(name="mine", version=version) for version in ("2", "2", "0", None, None)]


def test_a_row_nested_without_end_is_a_dead_letter(tmp_path: Path) -> None:
    good = {f"a/{name}": data for name, data in HARBOR.items()}
    bad = {f"b/{name}": data for name, data in {**HARBOR, "task.toml": "x = " + "[" * 9999}.items()}
    write_folder(tmp_path / "set", good | bad)
    done = kat("kat-mine", "tasks", "--from", "harbor", tmp_path / "set", "--dead-letter", tmp_path / "dead")
    assert done.returncode == 3 and len(done.stdout.splitlines()) == 1, done.stderr
    assert "recursion" in (tmp_path / "dead").read_text()


def test_two_imports_of_one_domain_are_two_rows_of_a_report(tmp_path: Path) -> None:
    for name, row in (("verified", OWN), ("lite", {**OWN, "instance_id": "somebody__else-2"})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    sources = [tmp_path / "verified.jsonl", tmp_path / "lite.jsonl"]
    done = kat("kat-mine", "tasks", "--from", "swe-bench", *sources, "-o", tmp_path / "tasks.parquet")
    assert done.returncode == 0, done.stderr
    attempts = [
        {"schema": "kat.trajectory/1", "id": f"t{i}", "task_id": f"somebody__else-{i}", "group_id": "g", "model": "m",
         "scaffold": {"name": "s"}, "domain": "swe", "verdict": {"reward": 1, "passed": True}}
        for i in (1, 2)
    ]  # fmt: skip
    (tmp_path / "graded.jsonl").write_text("".join(json.dumps(one) + "\n" for one in attempts))
    done = kat("kat-verify", "report", tmp_path / "tasks.parquet", tmp_path / "graded.jsonl")
    assert done.returncode == 0, done.stderr
    names = [line.split()[:2] for line in done.stdout.splitlines()]
    assert names == [["benchmark", "domain"], ["swe-bench-lite", "swe"], ["swe-bench-verified", "swe"]]
