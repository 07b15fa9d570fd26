"""A command line of the user's own as a scaffold, end to end in real boxes: what it is given, what it can reach."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.model.folder import load
from katcore.records import Trajectory, encode
from katcore.rollout.roller import rollouts
from katcore.rollout.scaffold_status import status
from katcore.rollout.service import Service
from katcore.sandbox.rootfs import ROOTS
from tests.support.options import setup
from tests.support.played_engine import PlayedEngine, say
from tests.support.rollout_tasks import BASE, task

pytestmark = pytest.mark.slow

AGENT = """
import json, os, pathlib, socket, sys, urllib.request
task = sys.argv[1]
home = pathlib.Path(os.environ["HOME"])
seen = {
    "config": (home / ".mine/config.json").read_text(),
    "home": sorted(str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "stdin": sys.stdin.read(),
    "environment": sorted(os.environ),
    "task": task,
}
(home / "left").write_text("state")
pathlib.Path("seen.json").write_text(json.dumps(seen))
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": task}]}).encode()
key = json.loads(seen["config"])["key"]
request = urllib.request.Request(os.environ["URL"] + "/v1/chat/completions", body, {"Authorization": "Bearer " + key})
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
if "FAIL" in task:
    sys.exit("it failed")
"""
ROW: dict[str, Any] = {
    "version": "0.1",
    "program": ["{python}", "-c", AGENT],
    "args": ["{task}"],
    "env": {"URL": "{url}"},
    "files": {".mine/config.json": '{"key": "{key}", "context": {context}}'},
}


@pytest.fixture
def service() -> Iterator[Service]:
    options = setup(
        scaffold="mine",
        table=json.dumps({"mine": ROW}),
        engine="sglang:http://played",
        label="played",
        samples=2,
        timeout=60,
        context=5000,
    )
    made = Service(options, PlayedEngine(load(), lambda seen, number: say("Done.")))
    yield made
    made.close()


def written(made: Trajectory) -> dict[str, Any]:
    line = next(line for line in (made.patch or "").splitlines() if line.startswith("+{"))
    seen: dict[str, Any] = json.loads(line[1:])
    return seen


def test_it_gets_its_task_and_its_files_and_nothing_else(service: Service) -> None:
    of = task()
    of.problem_statement = "-- odd; $(task) {key}\n"
    made = list(rollouts([of], service.setup, service, jobs=2))
    assert len(made) == 2 and all(each.exit.kind == "submitted" for each in made), made
    for each in made:
        seen = written(each)
        assert seen["task"] == of.problem_statement and seen["stdin"] == ""
        assert seen["interfaces"] == ["lo"]
        assert json.loads(seen["config"])["context"] == 5000
        assert seen["home"] == [".mine/config.json"], "no state of the other run"
        assert not [name for name in seen["environment"] if "KAT" in name or "TOKEN" in name or "KEY" in name]
        assert each.scaffold.version == "0.1" and len(each.calls) == 1
    first, second = (json.loads(written(each)["config"])["key"] for each in made)
    assert first != second, "a key for each rollout"


def test_a_failing_agent_is_an_agent_error(service: Service) -> None:
    of = task()
    of.problem_statement = "FAIL"
    made = next(iter(rollouts([of], service.setup, service)))
    assert made.exit.kind == "agent_error" and "exit status 1" in made.exit.detail and "it failed" in made.exit.detail


def test_kat_toml_names_it_for_the_command(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_bytes(encode(task()) + b"\n")
    (tmp_path / "script.jsonl").write_text(json.dumps({"messages": [{"content": "Done."}]}) + "\n")
    row = "\n".join(f"{name} = {json.dumps(ROW[name])}" for name in ("version", "program", "args"))
    more = "\n".join(
        f"[scaffold.mine.{kind}]\n" + "\n".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in ROW[kind].items())
        for kind in ("env", "files")
    )
    (tmp_path / "kat.toml").write_text(f"[scaffold.mine]\n{row}\n{more}\n")
    command = ["kat-rollout", "tasks.jsonl", "--scaffold", "mine", "--engine", "scripted:script.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout.splitlines()[1])["exit"]["kind"] == "submitted"
    listed = subprocess.run(["kat-rollout", "scaffolds"], cwd=tmp_path, capture_output=True, timeout=60)
    assert b"mine\t0.1\topenai-chat\tfound in the sandbox" in listed.stdout
    wrong = subprocess.run(
        ["kat-rollout", "scaffolds", "--install", "mien"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 2


OWN_FILES = """
mkdir -p .mine/db sub; echo s > .mine/db/state; echo h > .mine.history; echo h > sub/.mine.history
echo kept > kept.txt; echo changed >> .mine.conf
ls /etc/ssl/certs > certs.txt; ls /etc/ssl >> certs.txt
"""


def own(program: list[str], **more: Any) -> Service:
    row = {"program": program, "args": [], **more}
    options = setup(scaffold="mine", table=json.dumps({"mine": row}), engine="sglang:http://played", label="played")
    return Service(options, PlayedEngine(load(), lambda seen, number: say("Done.")))


def test_its_own_files_are_no_part_of_the_patch() -> None:
    service = own(["/bin/sh", "-c", OWN_FILES], ignore=["/.mine*"])
    try:
        of = task(base={**BASE, ".mine.conf": b"of the repository\n"})
        (made,) = rollouts([of], service.setup, service)
    finally:
        service.close()
    changed = [line.split()[-1] for line in (made.patch or "").splitlines() if line.startswith("diff ")]
    assert changed == ["b/.mine.conf", "b/certs.txt", "b/kept.txt", "b/sub/.mine.history"], "tracked files count"
    if any(Path(path).is_file() for path in ROOTS):
        assert "+ca-certificates.crt" in (made.patch or "") and "private" not in (made.patch or "")


def test_a_long_task_arrives_whole() -> None:
    program = "import sys, pathlib; pathlib.Path('told.txt').write_text(sys.argv[1] + open(sys.argv[2]).read()[-9:])"
    service = own(["{python}", "-c", program, "{task}", "{task_file}"])
    try:
        of = task()
        of.problem_statement = "x" * 300_000 + "\nthe end"
        (made,) = rollouts([of], service.setup, service)
    finally:
        service.close()
    assert made.exit.detail == "the agent made no model call", "it reads its task and asks nothing"
    assert "/tmp/home/task.md" in (made.patch or "") and "+the end" in (made.patch or "")


CHECKED = {
    "works": {"program": ["{python}", "-c", AGENT], "args": ["{task}"], "env": ROW["env"], "files": ROW["files"]},
    "silent": {"program": ["/bin/true"], "args": []},
    "fails": {"program": ["{python}", "-c", AGENT], "args": ["FAIL"], "env": ROW["env"], "files": ROW["files"]},
}


def test_check_asks_for_a_real_answer() -> None:
    states = {name: state for name, _, _, state in status(json.dumps(CHECKED), check=True)}
    assert states["works"] == "found in the sandbox, works"
    assert states["silent"] == "broken: the agent made no model call"
    assert states["fails"].startswith("broken: given a task it ended with agent_error: exit status 1: ")
