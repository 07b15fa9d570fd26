"""kat-train loop: what RUN.toml may say, and whole small runs through the real command in real boxes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.records import Environment, Task, TaskSource, TestFile, Trajectory, Verification, encode
from katcore.streams import read_records
from katcore.train.options import InitOptions

RUN = """
model = "M"
tasks = ["tasks.jsonl"]
[loop]
iterations = 2
[rollout]
samples = 2
jobs = 2
max-turns = 2
max-completion = 8
timeout = 60.0
[verify]
timeout = 60.0
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model made by `kat-train init`: one layer, hidden size 32."""
    from katcore.train.init import init

    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    return folder


def task(name: str) -> Task:
    """A task without files whose test nobody passes by chance; it needs no package."""
    where = (this_base(), this_platform())
    return Task(
        instance_id=name,
        repo="empty",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        problem_statement="Write a file.",
        source=TaskSource(kind="inline"),
        environment=Environment(
            base=where[0], platform=where[1], digest=environment_digest(*where, []), test_command="false"
        ),
        verification=Verification(FAIL_TO_PASS=["test_a.py::test_a"]),
        test_files={"test_a.py": TestFile(text="def test_a(): assert 0\n")},
    )


@pytest.fixture
def folder(tmp_path: Path, model: Path, cache: Path) -> Path:
    """A folder with RUN.toml and all that it names."""
    (tmp_path / "M").symlink_to(model)
    (tmp_path / "tasks.jsonl").write_bytes(b"".join(encode(task(name)) + b"\n" for name in ("t1", "t2")))
    (tmp_path / "RUN.toml").write_text(RUN)
    return tmp_path


def loop(folder: Path, *args: str) -> list[str]:
    return ["kat-train", "loop", str(folder / "RUN.toml"), "--out", str(folder / "out"), *args]


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = loop(folder, *args)
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=110)


def metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "out" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("was", "becomes", "code", "word"),
    [
        ("samples = 2", "smaples = 2", 2, "smaples"),
        ("[loop]", "[lop]", 2, "lop"),
        ("samples = 2", "samples = 'two'", 2, "[rollout] samples"),
        ("max-turns = 2", "max_turns = 2", 2, "max_turns"),
        ("[loop]", "[loop", 2, "RUN.toml"),
        ("[loop]", "[train]\nobjective = 'sft'\n[loop]", 2, "sft"),
        ('model = "M"', "", 2, "no model"),
        ("samples = 2", "scaffold = 'emacs'", 2, "emacs"),
        ("jobs = 2", "sandbox = 'bucket'", 2, "bucket"),
        ("[verify]", "[verify]\nsandbox = 'bucket'", 2, "bucket"),
        ('tasks = ["tasks.jsonl"]', 'tasks = ["gone.jsonl"]', 4, "gone.jsonl"),
        ('tasks = ["tasks.jsonl"]', "", 4, "no tasks"),
        ('model = "M"', 'model = "gone"', 2, "gone"),
        ("samples = 2", "samples = 2\nprobe = 2", 2, "probe"),
        ("samples = 2", "samples = 2\nredraws = 1", 2, "drawn again"),
    ],
)
def test_mistakes_in_run_toml(folder: Path, was: str, becomes: str, code: int, word: str) -> None:
    assert was in RUN
    (folder / "RUN.toml").write_text(RUN.replace(was, becomes, 1))
    done = run(folder)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert word in done.stderr and "Traceback" not in done.stderr and "internal error" not in done.stderr
    assert not metrics(folder) and not list((folder / "out").glob("step-*"))


def test_tasks_that_are_no_tasks(folder: Path) -> None:
    (folder / "tasks.jsonl").write_text('{"schema": "kat.sample/1", "id": "s"}\n')
    assert run(folder).returncode == 4
    (folder / "tasks.jsonl").write_text('{"schema": "kat.task/1", "instance')
    assert run(folder).returncode == 4


def test_no_run_toml(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2 and "RUN.toml" in done.stderr


def test_a_dry_run_leaves_nothing(folder: Path) -> None:
    done = run(folder, "--dry-run")
    assert done.returncode == 0 and "2 iterations on 2 tasks" in done.stderr
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_groups_are_sampled_by_rule(folder: Path) -> None:
    text = RUN.replace("samples = 2", "samples = 2\nresample = 1").replace("iterations = 2", "iterations = 1")
    (folder / "RUN.toml").write_text(text)
    done = run(folder)
    assert done.returncode == 0, done.stderr
    records = [line.record for line in read_records([folder / "out" / "iteration-1.jsonl.zst"])]
    made = [(r.task_id, r.sample_index, r.group_size) for r in records if isinstance(r, Trajectory)]
    assert made == [(name, sample, 3) for name in ("t1", "t2") for sample in range(3)], "nobody passes: one more each"


@pytest.mark.slow
def test_two_iterations_leave_everything_that_was_seen(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = run(folder)
    assert done.returncode == 0, done.stderr
    out = folder / "out"
    assert [(m["iteration"], m["attempts"], m["masked"], m["passed"]) for m in metrics(folder)] == [
        (1, 4, 0, 0),
        (2, 4, 0, 0),
    ]
    ids: set[str] = set()
    for number, version in ((1, "default"), (2, "1")):
        records = [line.record for line in read_records([out / f"iteration-{number}.jsonl.zst"])]
        assert [r.instance_id for r in records if isinstance(r, Task)] == ["t1", "t2"]
        made = [r for r in records if isinstance(r, Trajectory)]
        assert [t.task_id for t in made] == ["t1", "t1", "t2", "t2"] and all(t.verdict for t in made)
        assert {v for t in made for node in t.nodes for _, v in node.versions} == {version}
        assert {(t.attempt, t.model) for t in made} == {(number - 1, made[0].model)}
        ids |= {t.id for t in made}
    assert len(ids) == 8, "another iteration's attempts are others"
    files = [str(out / f"iteration-{number}.jsonl.zst") for number in (1, 2)]
    table = subprocess.run(["kat-verify", "report", "--json", *files], capture_output=True, check=True)
    assert [(row["tasks"], row["attempts"]) for row in json.loads(table.stdout)] == [(2, 8)]
    AutoModelForCausalLM.from_pretrained(out)
    AutoTokenizer.from_pretrained(out)
    again = run(folder)
    assert again.returncode == 2 and "--resume" in again.stderr
    assert run(folder, "--resume").returncode == 0 and len(metrics(folder)) == 2


@pytest.mark.slow
def test_a_run_killed_in_its_second_iteration_goes_on_there(folder: Path) -> None:
    out = folder / "out"
    process = subprocess.Popen(loop(folder), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "step-1").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    first = (out / "iteration-1.jsonl.zst").read_bytes()
    assert len(metrics(folder)) == 1 and not (out / "model.safetensors").exists()
    done = run(folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert [m["iteration"] for m in metrics(folder)] == [1, 2]
    assert (out / "iteration-1.jsonl.zst").read_bytes() == first and (out / "model.safetensors").exists()
    made = [
        r for r in (line.record for line in read_records([out / "iteration-2.jsonl.zst"])) if isinstance(r, Trajectory)
    ]
    assert {v for t in made for node in t.nodes for _, v in node.versions} == {"1"}, "as if it had not been killed"
    assert {t.model for t in made} == {"M"}, "not the checkpoint's name: ids would change"
