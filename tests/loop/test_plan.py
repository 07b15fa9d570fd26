"""RUN.toml as a value: its paths, what the command line says instead, the loop's own defaults, a user's scaffolds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from katcore.errors import UsageError
from katcore.loop.options import LoopOptions
from katcore.loop.plan import SAMPLES, RunPlan, plan
from katcore.records import Task, TaskSource, encode
from katcore.rollout.attempts import Setup
from katcore.scaffold.table import rows

RUN = """
model = "models/M"
tasks = ["t.jsonl"]
seed = 5
[rollout]
temperature = 0.8
references = "verified.jsonl"
replace = true
context = 300
scaffold = "mine"
[verify]
judge = ["openai:http://127.0.0.1:1/v1"]
judge-model = ["m"]
[pack-trie]
baseline = "trie"
[train]
reference = "/abs/policy"
schedule = "cosine"
max-steps = 7
dtype = "bfloat16"
tensorboard = true
"""
ROW = {"program": ["{agent}/bin/mine"], "args": ["{task}"], "version": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    task = Task(instance_id="t", repo="r", base_commit="b", created_at="2024-01-01T00:00:00Z",
                source=TaskSource(kind="inline"))  # fmt: skip
    (tmp_path / "t.jsonl").write_bytes(encode(task) + b"\n")
    (tmp_path / "verified.jsonl").touch()
    (tmp_path / "RUN.toml").write_text(RUN)
    return tmp_path


def read(folder: Path, **instead: object) -> RunPlan:
    return plan(folder / "RUN.toml", LoopOptions(**instead), table=json.dumps({"mine": ROW}))  # type: ignore[arg-type]


def test_paths_are_relative_to_the_file_and_options_reach_their_rooms(folder: Path) -> None:
    made = read(folder)
    file = made.file
    assert made.model == folder / "models/M" and made.seed == 5 and [task.instance_id for task in made.tasks] == ["t"]
    assert file.rollout.correction.references == folder / "verified.jsonl"
    assert file.train.reference == Path("/abs/policy")
    assert (file.rollout.correction.replace, file.rollout.caps.context) == (True, 300)
    assert (file.train.optimizer.schedule, file.train.compute.dtype, file.train.save.tensorboard) == (
        "cosine", "bfloat16", True
    )  # fmt: skip
    assert file.verify.panel.judge_model == ("m",)
    assert file.train.minimised.temperature == 0.8, "what the tokens were sampled at"
    assert (
        (file.pack_trie.objective, file.pack_trie.credit.baseline) == (file.train.objective, "trie") == ("grpo", "trie")
    )


def test_the_loop_has_defaults_of_its_own(folder: Path) -> None:
    file = read(folder).file
    assert (file.rollout.number.samples, file.jobs, file.pack_trie.groups_per_step) == (SAMPLES, SAMPLES, 0)


def test_the_command_line_says_it_instead(folder: Path) -> None:
    (folder / "other.jsonl").write_bytes((folder / "t.jsonl").read_bytes().replace(b'"t"', b'"other"'))
    made = read(folder, model=Path("N"), tasks=(folder / "other.jsonl",))
    assert made.model == Path("N") and [task.instance_id for task in made.tasks] == ["other"]


def test_scaffolds_of_the_user_are_known(folder: Path) -> None:
    made = read(folder)
    assert list(rows(made.table)["mine"].program) == ROW["program"]
    setup = Setup(made.file.rollout, table=made.table)
    with pytest.raises(UsageError, match="no engine"):
        setup.check()  # the scaffold is known; the collector adds the engine
    with pytest.raises(UsageError, match="unknown scaffold 'mine'"):
        Setup(made.file.rollout).check()


@pytest.mark.parametrize(
    ("line", "message"),
    [("tasks = 3", "tasks = 3 is no list"), ("model = 3", "model = 3 is no str"), ("seed = 'x'", "is no int"),
     ("seed = true", "is no int"), ("tasks = [3]", "is no list of files")],
)  # fmt: skip
def test_what_stands_at_the_top_is_checked(folder: Path, line: str, message: str) -> None:
    name = line.partition(" ")[0]
    kept = [old for old in RUN.splitlines() if not old.startswith(f"{name} = ")]
    (folder / "RUN.toml").write_text("\n".join([line, *kept]))
    with pytest.raises(UsageError) as told:
        read(folder)
    assert message in str(told.value)
