"""Rollouts that are kept near verified references, and rollouts whose model is an outside endpoint."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.scripted import bash
from katcore.errors import InputError, UsageError
from katcore.gateway.model import TokenModel
from katcore.gateway.server import Gateway
from katcore.model.folder import load
from katcore.records import Task, Trajectory, Verdict, encode
from katcore.references import Rules
from katcore.rollout.attempts import Setup, attempts_at
from katcore.rollout.correction import Correction
from katcore.rollout.roller import roll
from katcore.rollout.service import Service
from tests.support.gateway_fakes import opened
from tests.support.options import setup
from tests.support.played_engine import PlayedEngine
from tests.support.rollout_tasks import task

DONE = {"role": "assistant", "content": "Done."}
RULES = Rules(threshold=0.5, patience=3, replace=True)


def rolled(of: Task, options: Setup) -> Trajectory:
    service = Service(options)
    try:
        (attempt,) = attempts_at(of, options)
        return roll(service, attempt)
    finally:
        service.close()


def scripted(folder: Path, name: str, *messages: dict[str, Any]) -> str:
    file = folder / f"{name}.jsonl"
    file.write_text(json.dumps({"messages": list(messages)}) + "\n")
    return f"scripted:{file}"


@pytest.fixture
def references(tmp_path: Path) -> Path:
    """A file with one trajectory that passed and one that did not, each of a real rollout."""
    good = rolled(task(), setup(engine=scripted(tmp_path, "good", bash("cat calc.py"), bash("ls -la"), DONE)))
    bad = rolled(task(), setup(engine=scripted(tmp_path, "bad", bash("rm README.md"), DONE)))
    good.verdict, bad.verdict = Verdict(reward=1.0, passed=True), Verdict(reward=0.0)
    file = tmp_path / "references.jsonl"
    file.write_bytes(encode(good) + b"\n" + encode(bad) + b"\n")
    return file


@pytest.mark.slow
def test_a_deviating_step_is_replaced_by_the_references(references: Path, tmp_path: Path) -> None:
    engine = scripted(tmp_path, "wild", bash("rm README.md"), bash("ls -la"), DONE)
    made = rolled(task(), setup(engine=engine, references=references, patience=3, replace=True))
    placed = [node for node in made.nodes if node.origin == "reference"]
    assert len(placed) == 1 and "cat calc.py" in json.dumps(placed[0].message) and not placed[0].sampled
    rejected = [node for node in made.nodes if node.lineage.startswith("rejected")]
    assert len(rejected) == 1 and "rm README.md" in json.dumps(rejected[0].message)
    assert made.patch == "", "the agent did what the reference did: nothing was removed"
    assert made.exit.kind == "submitted"


@pytest.mark.slow
def test_an_attempt_that_stays_away_ends(references: Path, tmp_path: Path) -> None:
    engine = scripted(tmp_path, "wild", bash("rm README.md"), bash("rm tool.sh"), DONE)
    made = rolled(task(), setup(engine=engine, references=references, patience=2))
    assert made.exit.kind == "stopped" and "2 steps" in made.exit.detail
    other = rolled(task("other-1"), setup(engine=engine, references=references, patience=2))
    assert other.exit.kind == "submitted", "a task without references is left alone"


@pytest.mark.slow
def test_references_must_be_verified(references: Path, tmp_path: Path) -> None:
    good, bad = references.read_bytes().splitlines(keepends=True)
    correction = Correction(references, RULES)
    assert correction.hook(task()) is not None and correction.hook(task("other-1")) is None
    failed = tmp_path / "failed.jsonl"
    failed.write_bytes(bad)
    with pytest.raises(InputError, match="no trajectory in it has passed"):
        Correction(failed, RULES)
    ungraded = json.loads(good)
    del ungraded["verdict"]
    failed.write_text(json.dumps(ungraded) + "\n")
    with pytest.raises(InputError, match="has no verdict"):
        Correction(failed, RULES)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "provider", tcp=("127.0.0.1", 0)) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_an_outside_endpoint_is_a_rollouts_model(
    kind: str, provider: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [bash("echo x > new.txt"), DONE]
    engine = PlayedEngine(load(), lambda seen, number: messages[number])
    theirs = opened(provider, TokenModel(engine, engine.chat, "big"), "theirs")
    monkeypatch.setenv("TEACHER_KEY", theirs.key)
    url = f"{kind}:http://127.0.0.1:{provider.port}" + ("/v1" if kind == "openai" else "")
    options = setup(engine=url, upstream_model="big", key_variable="TEACHER_KEY", timeout=60)
    options.check()
    made = rolled(task(), options)
    assert made.exit.kind == "submitted" and made.model == "big" and made.tokenizer == ""
    assert "new.txt" in (made.patch or "")
    answers = [node for node in made.nodes if node.role == "assistant"]
    assert len(answers) == 2 and all(node.origin == "external" and node.token_ids is None for node in answers)
    assert all(call.usage["prompt_tokens"] > 0 and call.engine == f"{kind}:big" for call in made.calls)
    assert theirs.key not in json.dumps(json.loads(encode(made))), "the key is in no record"


def test_what_an_outside_endpoint_needs_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="needs a key"):
        setup(engine="openai:http://127.0.0.1:9/v1", upstream_model="m").check()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(UsageError, match="model's name"):
        setup(engine="openai:http://127.0.0.1:9/v1").check()


@pytest.mark.slow
def test_the_command_refuses_an_endpoint_without_a_key() -> None:
    argv = [
        "kat-rollout",
        "--engine",
        "openai:http://127.0.0.1:9/v1",
        "--upstream-model",
        "m",
        "--key-variable",
        "NONE_1",
    ]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=60)
    assert done.returncode == 2 and b"NONE_1" in done.stderr, done.stderr.decode()
