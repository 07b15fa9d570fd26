"""An old project that only works in its own year, through the real commands: with the clock of its change it is a task.

One of its tests names the year, the other shakes hands over a certificate that ran out in April 2021.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from katcore.engine.scripted import bash
from katcore.options.boxes import BoxOptions
from katcore.records import Task, encode
from katcore.rollout.attempts import attempts_at
from katcore.rollout.roller import roll
from katcore.rollout.service import Service
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from tests.support.options import setup
from tests.support.projects import change

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
THEN = "2021-03-04T05:06:07Z"
PAIR = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgygM2Roieu5kN5Oys
lGW9RfHjafA2awf/8szCoMTIFHyhRANCAASXcuHEl1+qpH2iTdFVXgHk7NQomCmU
xvengNPfGL3n+Y1lwMxRlsf+qHyAL7Cpqb38uF+cR67Wlm4vCv5OD/CH
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlDCCATmgAwIBAgIUCFnm8Xn8VUq5MTR1Za1AphElUg0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTIxMDMwMTAwMDAwMFoXDTIxMDQzMDAw
MDAwMFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEl3LhxJdfqqR9ok3RVV4B5OzUKJgplMb3p4DT3xi95/mNZcDMUZbH/qh8
gC+wqam9/LhfnEeu1pZuLwr+Tg/wh6NpMGcwHQYDVR0OBBYEFATiiqnlpCJ8thkB
ilxoS1wSTBPFMB8GA1UdIwQYMBaAFATiiqnlpCJ8thkBilxoS1wSTBPFMA8GA1Ud
EwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0MAoGCCqGSM49BAMCA0kA
MEYCIQDnZwT6LwAdLOowNfv4qnpZUm7Lcd6mzDK7qcOe4aixpQIhAKCd3Exzqk5F
m9AcZqn2g8tmQeVyMeKw1XUu3MyYZBio
-----END CERTIFICATE-----
"""
SOURCE = """
import datetime
def years_since(year):
    return datetime.date.today().year
def copyright():
    return f"(c) 2019-{datetime.date.today().year}"
"""
TESTS = """
import pathlib, ssl
from old_news import copyright, years_since

PAIR = pathlib.Path(__file__).with_name("localhost.pem")

def test_years():
    assert years_since(2019) == 2

def test_copyright():
    assert copyright() == "(c) 2019-2021"

def test_handshake():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PAIR)
    to, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = ssl.create_default_context(cafile=PAIR).wrap_bio(back, to, server_hostname="localhost")
    there = server.wrap_bio(to, back, server_side=True)
    for end in (here, there, here, there):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    assert here.getpeercert()["subject"] == ((("commonName", "localhost"),),)
"""
BASE = {
    "pyproject.toml": '[project]\nname = "old-news"\nversion = "1"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
    "old_news.py": SOURCE,
    "tests/localhost.pem": PAIR,
    "tests/test_news.py": TESTS.replace("== 2\n", "> 2\n"),
}
HEAD = {
    "old_news.py": SOURCE.replace("return datetime.date.today().year\n", "return datetime.date.today().year - year\n")
}
HEAD["tests/test_news.py"] = TESTS
NEWS = "tests/test_news.py::test_"


def kat(command: str, *arguments: str | Path, stdin: bytes = b"", code: int = 0) -> bytes:
    done = subprocess.run([BIN / command, *map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def lists(task: Task) -> tuple[list[str], list[str]]:
    return task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> bytes:
    made = change(tmp_path_factory.mktemp("history") / "news", BASE, HEAD, "Count years since a year, not from nought")
    return encode(msgspec.structs.replace(made, created_at=THEN)) + b"\n"


@pytest.fixture(scope="module")
def task(mined: bytes) -> Task:
    return msgspec.json.decode(kat("kat-build-env", "--clock", "change", "--runs", "1", stdin=mined), type=Task)


def test_the_changes_clock_makes_a_task_and_todays_does_not(task: Task, mined: bytes, tmp_path: Path) -> None:
    assert task.environment.env["KAT_CLOCK"] == THEN
    assert lists(task) == ([f"{NEWS}years"], [f"{NEWS}copyright", f"{NEWS}handshake"])
    assert kat("kat-build-env", "--runs", "1", "--rejects", tmp_path / "rejects", stdin=mined) == b""
    (told,) = map(json.loads, (tmp_path / "rejects").read_text().splitlines())
    assert (told["stage"], told["reason"]) == ("after_run", "nothing_passes")


def test_another_time_is_another_result(mined: bytes, tmp_path: Path) -> None:
    """In May the year is the same and the certificate is not."""
    made = kat("kat-build-env", "--clock", "2021-05-01T00:00:00Z", "--runs", "1", stdin=mined)
    found = msgspec.json.decode(made, type=Task)
    assert lists(found) == ([f"{NEWS}years"], [f"{NEWS}copyright"])
    assert found.evidence.excluded == [f"{NEWS}handshake"]


@pytest.mark.parametrize("sandbox", ["bubblewrap", "docker"])
def test_gradings_see_it_on_both_sandboxes(task: Task, sandbox: str, request: pytest.FixtureRequest) -> None:
    if sandbox == "docker":
        request.getfixturevalue("engine")
    gold, again = (
        Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox=sandbox))).grade(task, task.patch) for _ in range(2)
    )
    assert gold.passed and gold == again, gold.reason
    assert Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox=sandbox))).grade(
        task, task.patch.replace("- year", "- 2018")
    ).parts["f2p"] == [0, 1]
    without = {name: value for name, value in task.environment.env.items() if name != "KAT_CLOCK"}
    today = msgspec.structs.replace(task, environment=msgspec.structs.replace(task.environment, env=without))
    assert not Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox=sandbox))).grade(today, task.patch).passed


def test_another_build_and_a_validation_agree_with_it(task: Task, mined: bytes) -> None:
    again = kat("kat-build-env", "--clock", "change", "--runs", "1", stdin=mined)
    assert again == encode(task) + b"\n"
    assert b'"validation"' in kat("kat-verify", "validate", stdin=again)


def rolled(task: Task, folder: Path, *commands: str) -> Sequence[str]:
    script = folder / "script.jsonl"
    script.write_text(json.dumps({"messages": [bash(command) for command in commands]}) + "\n")
    service = Service(setup(engine=f"scripted:{script}", timeout=60))
    try:
        (attempt,) = attempts_at(task, service.setup)
        made = roll(service, attempt)
    finally:
        service.close()
    return [str((node.message or {}).get("content")) for node in made.nodes if node.role == "tool"]


def test_an_agents_commands_see_it(task: Task, tmp_path: Path) -> None:
    commands = (
        "date -u +%F; touch a; date -u -r a +%F",
        "git -c user.name=a -c user.email=a@b commit -qm x --allow-empty; git log -1 --format=%cs",
        "python3 -c 'import time; print(time.strftime(\"%F\"))'; echo $LD_PRELOAD",
        "env -i date +%Y",
    )
    first, second, third, bare = rolled(task, tmp_path, *commands)
    assert "2021-03-04\n2021-03-04" in first
    assert "2021-03-04" in second
    assert "2021-03-04" in third and "/opt/kat-clock/clock.so" in third
    assert "2021" not in bare, "started with nothing, it sees the machine's"


@pytest.mark.parametrize("form", ["harbor", "swe-bench"])
def test_no_other_forms_boxes_have_it(task: Task, form: str, tmp_path: Path) -> None:
    command = [BIN / "kat-build-env", "export", "--to", form, "--out", tmp_path / "out"]
    done = subprocess.run(command, input=encode(task) + b"\n", capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert b"a task with a clock of its own cannot be exported" in done.stderr


def test_a_time_that_is_none_is_told_in_one_line(mined: bytes) -> None:
    done = subprocess.run(
        [BIN / "kat-build-env", "--clock", "yesterday"], input=mined, capture_output=True, check=False
    )
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.decode().count("\n") == 1 and "--clock takes none, change or a time" in done.stderr.decode()
