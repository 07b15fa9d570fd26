"""Input for every command, made on the spot: histories, changes, tasks, graded trajectories, packs.

Tasks here need no package index: their tests are a script that writes its own JUnit report.
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
import zstandard

from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.records import (
    Change,
    ChangeSource,
    Environment,
    Node,
    Pack,
    PackSample,
    PackStats,
    Record,
    Scaffold,
    StepCounts,
    Task,
    TaskSource,
    TestFile,
    Trajectory,
    Verdict,
    Verification,
    encode,
)

WHEN = "2025-06-01T00:00:00Z"
GIT = {f"GIT_{who}_{what}": v for who in ("AUTHOR", "COMMITTER") for what, v in (("NAME", "a"), ("EMAIL", "a@b"))}

CALC = "def add(a, b):\n    return a - b\n"
TEST = """
import os, sys
from calc import add
ok = add(1, 2) == 3
with open(os.environ["KAT_REPORT"] + "/report.xml", "w") as file:
    file.write('<testsuite><testcase classname="t" name="add">%s</testcase></testsuite>' % ("" if ok else "<failure/>"))
sys.exit(not ok)
"""
GOLD = """diff --git a/calc.py b/calc.py
--- a/calc.py
+++ b/calc.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""


def write(path: Path, records: Iterable[Record]) -> Path:
    """Records as JSON lines; compressed when the name says so."""
    data = b"".join(encode(record) + b"\n" for record in records)
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


def git(folder: Path, *args: str, data: bytes = b"") -> str:
    """What git prints, with a name of ours and nobody's configuration."""
    env = {**os.environ, **GIT, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(
        ["git", *args], cwd=folder, env=env, input=data, check=True, capture_output=True
    ).stdout.decode()


def history(folder: Path, commits: int, lines: int) -> Path:
    """A repository in which every commit writes another file of that many lines."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "-b", "main")
    stream = []
    for n in range(commits):
        text = "".join(f"value_{n}_{i} = {n * i}\n" for i in range(lines))
        stream.append(f"commit refs/heads/main\ncommitter a <a@b> {1700000000 + n} +0000\n")
        stream.append(f"data 9\nfile {n:04}\nM 644 inline f{n % 7}.py\ndata {len(text)}\n{text}\n")
    git(folder, "fast-import", "--quiet", data="".join(stream).encode())
    return folder


def archive(files: dict[str, str]) -> str:
    """A data URL of the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return "data:application/x-tar;base64," + base64.b64encode(made.getvalue()).decode()


def change(name: str) -> Change:
    """A change that touches no test, so that kat-build-env turns it away at once."""
    return Change(
        id=name, repo="calc", base_commit="a", head_commit="b", created_at=WHEN, patch=GOLD,
        source=ChangeSource(kind="commit"),
    )  # fmt: skip


PYPROJECT = """
[project]
name = "calc"
version = "1"
[tool.setuptools]
py-modules = ["calc"]
"""
CHECK = "from calc import add, N\n\ndef test_add():\n    assert add(1, 2) == 3\n\ndef test_n():\n    assert N == {}\n"


def real_changes(folder: Path, n: int) -> list[Record]:
    """Changes of one project, each of which mends a test, as kat-mine sees them."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "-b", "main")
    for i in range(n + 1):
        files = {"pyproject.toml": PYPROJECT, "calc.py": f"N = {i}\n\n\n" + CALC.replace("a - b", "a + b")}
        for name, text in (files | {"tests/test_calc.py": CHECK.format(i)}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "--quiet", "-m", f"N is {i}\n\nThose who assert another number get an error.")
    mined = subprocess.run(
        ["kat-mine", "changes", folder, "--range", f"HEAD~{n}..HEAD"], check=True, capture_output=True
    )
    return [msgspec.json.decode(line, type=Change) for line in mined.stdout.splitlines()]


def task(name: str) -> Task:
    """A task that its gold patch solves."""
    where = (this_base(), this_platform())
    return Task(
        instance_id=name,
        repo="calc",
        base_commit="0" * 40,
        created_at=WHEN,
        problem_statement="add() subtracts.",
        source=TaskSource(kind="inline", url=archive({"calc.py": CALC})),
        environment=Environment(
            base=where[0], platform=where[1], digest=environment_digest(*where, []),
            test_command="/opt/env/bin/python test_calc.py",
        ),
        verification=Verification(FAIL_TO_PASS=["t::add"]),
        patch=GOLD,
        test_files={"test_calc.py": TestFile(text=TEST)},
    )  # fmt: skip


def trajectory(task_id: str, sample: int, *, patch: str = "", size: int = 2, reward: float | None = None) -> Trajectory:
    """An attempt of two turns; the tokens after the first turn are the sample's own."""
    answer = [1000 + (sample * 7 + i) % 50 for i in range(40)]
    nodes = [
        Node(id=0, role="user", token_ids=list(range(300, 360))),
        Node(id=1, parent=0, role="assistant", token_ids=[400, 401], sampled=[(0, 2)], engine_logprobs=[-0.5, -0.25]),
        Node(id=2, parent=1, role="tool", token_ids=[500 + sample]),
        Node(id=3, parent=2, role="assistant", token_ids=answer, sampled=[(0, 40)], engine_logprobs=[-0.5] * 40),
    ]
    return Trajectory(
        id=f"{task_id}-{sample}", task_id=task_id, group_id=task_id, group_size=size, sample_index=sample,
        scaffold=Scaffold(name="x"), model="m", tokenizer="abc", nodes=nodes, patch=patch,
        verdict=None if reward is None else Verdict(reward=reward, passed=reward >= 1),
    )  # fmt: skip


def attempts(groups: int, *, patch: str = "", reward: float | None = None) -> list[Record]:
    """Tasks, each ahead of its two attempts."""
    records: list[Record] = []
    for n in range(groups):
        records.append(task(f"task-{n}"))
        records += [trajectory(f"task-{n}", i, patch=patch, reward=reward) for i in range(2)]
    return records


def pack(name: str, tokenizer: str) -> Pack:
    """One tree: a prompt of two tokens and two answers."""
    return Pack(
        id=name,
        objective="opd",
        tokenizer=tokenizer,
        tokens=[300, 301, 302, 303, 304],
        parent=[-1, 0, 1, 2, 1],
        depth=[0, 1, 2, 3, 2],
        end=[5, 5, 4, 4, 5],
        term_token=[2, 3, 4],
        term_sample=[0, 0, 1],
        term_turn=[0, 0, 0],
        rl_weight=[1.0, 1.0, 1.0],
        ce_weight=[0.0] * 3,
        kl_weight=[1.0] * 3,
        engine_logprob=[-1.0] * 3,
        samples=[PackSample(trajectory_id=f"{name}-{i}", group_id="task-0:x:m:0") for i in range(2)],
        step_counts=StepCounts(groups=1, samples=2, turns=2, trained_tokens=3),
        stats=PackStats(flat=7, unique=5, por=2 / 7),
    )
