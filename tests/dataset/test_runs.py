"""Imported tasks run here: the reference solution is worth 1, nothing and nonsense 0."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from katcore.dataset import swe_bench
from katcore.dataset.formats import FORMATS
from katcore.dataset.in_box import harbor_runner
from katcore.records import Task, TestFile
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from tests.support.dataset_commands import kat, write_folder
from tests.support.dataset_rows import HARBOR, HUMANEVAL, MBPP
from tests.support.small_root import PROGRAMS, small_root

NONSENSE = """diff --git a/nonsense.txt b/nonsense.txt
new file mode 100644
--- /dev/null
+++ b/nonsense.txt
@@ -0,0 +1 @@
+nothing
"""


def trajectory(task: str, patch: str) -> str:
    return json.dumps({"schema": "kat.trajectory/1", "id": f"{task}-{len(patch)}", "task_id": task, "group_id": task,
                       "scaffold": {"name": "oracle"}, "model": "none", "patch": patch})  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_harbor_task_runs_here(tmp_path: Path) -> None:
    write_folder(tmp_path / "sum", {**HARBOR, "environment/Dockerfile": str(HARBOR["environment/Dockerfile"])})
    tasks = tmp_path / "tasks.jsonl"
    done = kat("kat-mine", "tasks", "--from", "harbor", tmp_path / "sum", "--solve", "bubblewrap", "-o", tasks)
    assert done.returncode == 0, done.stderr
    task = msgspec.json.decode(tasks.read_bytes(), type=Task)
    assert "sum.txt" in task.patch and "+42" in task.patch
    lines = [tasks.read_text(), *(trajectory(task.instance_id, patch) + "\n" for patch in (task.patch, "", NONSENSE))]
    (tmp_path / "attempts.jsonl").write_text("".join(lines))
    done = kat("kat-verify", tmp_path / "attempts.jsonl")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines()[1:]]
    assert [verdict["reward"] for verdict in verdicts] == [1.0, 0.0, 0.0], verdicts
    assert not any(verdict["masked"] for verdict in verdicts)


@pytest.mark.usefixtures("cache")
def test_a_dockerfile_that_runs_programs_is_told_apart(tmp_path: Path) -> None:
    write_folder(tmp_path / "sum", {**HARBOR, "environment/Dockerfile": "FROM x\nWORKDIR /app\nRUN make\n"})
    done = kat("kat-mine", "tasks", "--from", "harbor", tmp_path / "sum", "--solve", "bubblewrap")
    assert done.returncode == 3 and "KAT_BUBBLEWRAP_BASE" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_dockerfile_that_runs_programs_is_built(tmp_path: Path, engine: str) -> None:
    """What its programs made in the working folder is there for the agent, and for the grading."""
    programs = (*PROGRAMS, "git", "awk", "cp", "bash", "true")
    base = small_root(tmp_path / "root", tmp_path / "root.tar", programs)
    subprocess.run(["docker", "import", base, "small/harbor:1"], check=True, capture_output=True)
    run = 'RUN ["/bin/bash", "-c", "echo 1 >numbers.txt; echo 41 >>numbers.txt; echo 39 >/etc/beside"]\n'
    docker = f"FROM small/harbor:1\nWORKDIR /app\nENV GREETING=hello\nCOPY numbers.txt data/ ./\n{run}"
    folder = write_folder(tmp_path / "sum", {**HARBOR, "environment/Dockerfile": docker})
    tasks = tmp_path / "tasks.jsonl"
    done = kat("kat-mine", "tasks", "--from", "harbor", folder, "--build", "--solve", "docker", "-o", tasks)
    assert done.returncode == 0, done.stderr
    task = msgspec.json.decode(tasks.read_bytes(), type=Task)
    assert task.source.kind == "image" and (task.source.url, task.source.ref) == (task.environment.image, "/app")
    assert "+42" in task.patch
    lines = [tasks.read_text(), *(trajectory(task.instance_id, patch) + "\n" for patch in (task.patch, NONSENSE))]
    (tmp_path / "attempts.jsonl").write_text("".join(lines))
    for kind in ("docker", "bubblewrap"):  # the engine's image, exported, is a root file system for bubblewrap
        done = kat("kat-verify", "--sandbox", kind, tmp_path / "attempts.jsonl")
        assert done.returncode == 0, done.stderr
        verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines()[1:]]
        assert [verdict["reward"] for verdict in verdicts] == [1.0, 0.0], verdicts
        assert not any(verdict["masked"] for verdict in verdicts)
    done = kat("kat-build-env", "export", "--to", "harbor", tasks, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    again = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert again == {f"sum/{name}" for name in {**HARBOR}}
    assert (tmp_path / "out/sum/task.toml").read_text() == HARBOR["task.toml"]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("row, wrong", [(HUMANEVAL, "return 3 * x"), (MBPP, "return a - b")], ids=["humaneval", "mbpp"])
def test_a_function_problem_runs_here(row: dict[str, object], wrong: str) -> None:
    task = FORMATS["functions"].to_task(row)
    grader = Grader(TestOptions(reuse=False))
    gold = grader.grade(task, task.patch)
    assert gold.reward == 1.0, gold
    bad = task.patch.replace("return 2 * x", wrong).replace("return a + b", wrong)
    assert bad != task.patch
    assert grader.grade(task, bad).reward == 0.0
    nop = grader.grade(task, NONSENSE)
    assert nop.reward == 0.0 and not nop.masked


@pytest.mark.usefixtures("cache")
def test_an_exported_task_is_judged_by_its_own_runner(tmp_path: Path) -> None:
    """The runner of an exported folder, outside any container: what `harbor` does there is `make test-datasets`'s."""
    task = FORMATS["functions"].to_task(HUMANEVAL)
    (tmp_path / "tasks.jsonl").write_bytes(msgspec.json.encode(task) + b"\n")
    done = kat(
        "kat-build-env",
        "export",
        "--to",
        "harbor",
        "--image",
        "base",
        tmp_path / "tasks.jsonl",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "humaneval-2"
    again = kat("kat-mine", "tasks", "--from", "harbor", folder)
    assert msgspec.json.decode(again.stdout, type=Task) == task

    config = json.loads((folder / "tests" / "config.json").read_text())
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["tar", "-xf", folder / "environment" / "repo.tar", "-C", work], check=True)
    assert subprocess.run(["git", "-c", "safe.directory=*", "rev-list", "--count", "HEAD"], cwd=work, check=True,
                          capture_output=True, text=True).stdout == "1\n"  # fmt: skip
    script = (
        "import json, sys, pathlib; sys.path.insert(0, sys.argv[1]); import run_tests; "
        "config = json.load(sys.stdin); print(run_tests.graded(config, pathlib.Path(sys.argv[2])))"
    )
    config["test_command"] = config["test_command"].replace("/opt/python/bin/python3", sys.executable)
    for expected in ("(False, ", "(True, 'passed')"):
        ran = subprocess.run([sys.executable, "-I", "-c", script, folder / "tests", work], input=json.dumps(config),
                             capture_output=True, text=True, check=True)  # fmt: skip
        assert ran.stdout.startswith(expected), ran
        subprocess.run(
            ["git", "-c", "safe.directory=*", "apply", folder / "solution" / "gold.patch"],
            cwd=work,
            check=expected == "(False, ",
        )


ODD_FILES = {
    r'"tests/d\351ta.txt"': TestFile(text="2\n"),
    r'"tests/to \351"': TestFile(base64=base64.b64encode(b"d\xe9ta.txt").decode(), mode="120000"),
    "tests/it's.txt": TestFile(text="3\n"),
}
"""Names and a link's target that are not UTF-8, and a quote."""


def odd_files_are_there(folder: Path) -> bool:
    found = {os.fsencode(path.name): path.read_text() for path in (folder / "tests").iterdir()}
    link = (folder / "tests" / os.fsdecode(b"to \xe9")).readlink()
    wanted = {b"d\xe9ta.txt": "2\n", b"to \xe9": "2\n", b"it's.txt": "3\n"}
    return os.fsencode(link) == b"d\xe9ta.txt" and found == wanted


@pytest.mark.usefixtures("cache")
def test_test_files_of_any_name_are_put_in_their_place_by_exports(tmp_path: Path) -> None:
    task = FORMATS["functions"].to_task(HUMANEVAL)
    task.test_files = ODD_FILES
    (tmp_path / "tasks.jsonl").write_bytes(msgspec.json.encode(task) + b"\n")
    for form in ("harbor", "swe-bench"):
        command = ["kat-build-env", "export", "--to", form, "--image", "b", tmp_path / "tasks.jsonl"]
        done = kat(*command, "--out", tmp_path / form)
        assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "harbor" / "humaneval-2" / "tests" / "config.json").read_text())
    (tmp_path / "one").mkdir()
    harbor_runner.restore(config["test_files"], tmp_path / "one")
    assert odd_files_are_there(tmp_path / "one")

    task.environment = msgspec.structs.replace(task.environment, workdir=str(tmp_path / "two"), test_command="true")
    (tmp_path / "two").mkdir()
    done = subprocess.run(["bash", "-c", swe_bench.eval_script(task)], capture_output=True, check=False)
    assert done.returncode == 0 and odd_files_are_there(tmp_path / "two"), done.stderr
