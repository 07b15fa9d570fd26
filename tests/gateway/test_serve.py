"""kat-rollout gateway as a process: keys out, agents in, trajectories when it is interrupted or recovered."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from katcore.errors import UsageError
from tests.support.gateway_command import COMMAND, converse, script, start
from tests.support.gateway_fakes import CAPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_trajectories_come_when_it_is_interrupted(tmp_path: Path, number: int) -> None:
    process, access = start(tmp_path, "--sessions", "3")
    assert len({each["key"] for each in access}) == 3
    for each in access[:2]:
        converse(each)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    made = [json.loads(line) for line in out.splitlines()]
    assert [record["schema"] for record in made] == ["kat.trajectory/1"] * 2, "a key that nobody used leaves nothing"
    assert len({record["id"] for record in made}) == 2
    assert [node["role"] for node in made[0]["nodes"]] == ["user", "assistant", "tool", "assistant"]
    assert made[0]["exit"]["kind"] == "submitted" and made[0]["tokenizer"]


def test_after_kill_9_the_journals_give_the_trajectories(tmp_path: Path) -> None:
    journals = str(tmp_path / "journals")
    process, access = start(tmp_path, "--journals", journals)
    converse(access[0])
    process.kill()
    process.communicate()
    done = subprocess.run([*COMMAND, "gateway", "--recover", "--journals", journals], capture_output=True, check=True)
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert [node["role"] for node in record["nodes"]] == ["user", "assistant", "tool", "assistant"]
    assert record["exit"]["kind"] == "gateway" and len(record["calls"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gateway"], "no engine"),
        (["gateway", "--engine", "sglang:http://127.0.0.1:1"], "no model folder"),
        (["gateway", "--engine", "nop", "--listen", "here"], "is no address"),
        (["gateway", "--recover"], "--journals"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], said: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) <= 2


def test_an_embedded_engine_is_served_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from katcore.engine import SamplingParams
    from katcore.gateway import serve
    from katcore.gateway.server import Gateway
    from katcore.model.folder import load
    from katcore.model.placement import Placement

    told: list[object] = []

    async def opened(name: str, placement: Placement) -> object:
        told.append((name, placement))
        raise UsageError("enough")

    monkeypatch.setattr(serve, "open_engine", opened)
    load().save(tmp_path / "M")
    gateway = Gateway(tmp_path / "journals")
    wanted = f"embedded:{tmp_path / 'M'}", Placement("cpu", "bfloat16")
    serving = serve.Serving(
        wanted[0], None, 1, "", "", CAPS, SamplingParams(), False, "sampled", seed=0, placement=wanted[1]
    )
    try:
        with pytest.raises(UsageError, match="enough"):
            serve.Served(gateway, serving)
    finally:
        gateway.close()
    assert told == [wanted]


def test_sessions_share_one_tokenizer_and_template(tmp_path: Path) -> None:
    from katcore.engine import SamplingParams
    from katcore.gateway.serve import Served, Serving
    from katcore.gateway.server import Gateway
    from katcore.model.placement import AUTO

    engine = f"scripted:{script(tmp_path)}"
    serving = Serving(engine, None, 3, "", "", CAPS, SamplingParams(), False, "sampled", seed=0, placement=AUTO)
    with Gateway(tmp_path / "journals") as gateway:
        served = Served(gateway, serving)
        assert len({id(session.model.chat) for session in served.sessions}) == 1
        assert list(served.close()) == []
