"""Machines unlike this one: no bubblewrap, no namespaces, another user, another Python, runners that died."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from katcore.errors import SandboxError
from katcore.sandbox import PYTHON, Spec, limits
from katcore.sandbox.bubblewrap import Bubblewrap
from tests.support import ROOT
from tests.support.sandbox_cases import BOMB, Make, Script, running, said

CHECK = """
from katcore.errors import SandboxError
from katcore.sandbox import Spec
from katcore.sandbox.bubblewrap import Bubblewrap
try:
    Bubblewrap().check()
    print("checked")
except SandboxError as error:
    print(f"check: {error} / {error.hint}")
try:
    box = Bubblewrap().create(Spec("test"))
    print("ran", box.exec(["touch", "/tmp/unsandboxed"]).code)
except SandboxError as error:
    print(f"exec: {error}")
"""


def test_without_bubblewrap_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"^bubblewrap is not installed$") as raised:
        Bubblewrap().check()
    assert raised.value.hint == "apt-get install bubblewrap"


def test_where_namespaces_are_forbidden_it_says_so_and_runs_nothing(script: Script) -> None:
    """For real: a user namespace whose own limit of further ones is 0."""
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    done = script(CHECK, prefix=["unshare", "-Ur", "sh", "-c", forbid, "sh"])
    checked, ran = done.stdout.splitlines()
    assert checked.startswith("check: this machine does not let bubblewrap make a sandbox (bwrap: "), done.stderr
    assert checked.endswith("/ sysctl user.max_user_namespaces=15000")
    assert ran.startswith("exec: the sandbox failed: bwrap: ")


@pytest.mark.parametrize("words", ["setting up uid map: Permission denied", "Can't mount proc on /newroot/proc: x"])
def test_a_failing_bubblewrap_is_one_clear_line(
    words: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make()
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "bwrap"
    fake.write_text(f'#!/bin/sh\necho "bwrap: {words}" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match="does not let bubblewrap") as raised:
        Bubblewrap().check()
    assert "\n" not in str(raised.value) and words in str(raised.value)
    with pytest.raises(SandboxError, match="the sandbox failed: bwrap: "):
        box.exec(["true"])


def other_python() -> Path:
    """The system's interpreter, installed at another place and in another way than the one of the tests."""
    return Path("/usr/bin/python3")


@pytest.mark.parametrize("which", ["this one", "the system's", "a venv's"])
def test_boxes_get_the_named_interpreter(which: str, make: Make, tmp_path: Path) -> None:
    path = {"this one": None, "the system's": other_python(), "a venv's": Path(sys.executable)}[which]
    expected = subprocess.run(
        [path or sys.executable, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True
    )
    box = make(Bubblewrap(python=path))
    source = "import ctypes, json, ssl, sqlite3, sys, zlib; print(sys.version)"
    assert said(box.exec([PYTHON, "-I", "-c", source])) == expected.stdout.strip()
    assert said(box.exec([PYTHON, "-c", "import sys; print(sys.executable)"])) == PYTHON


@pytest.mark.parametrize("which", ["this one", "the system's"])
def test_an_environment_can_be_built_in_a_box(which: str, make: Make) -> None:
    box = make(Bubblewrap(python=None if which == "this one" else other_python()))
    assert box.exec([PYTHON, "-m", "venv", "--without-pip", "/tmp/env"]).code == 0
    told = said(box.exec(["/tmp/env/bin/python", "-c", "import sys; print(sys.prefix, sys.base_prefix != sys.prefix)"]))
    assert told == "/tmp/env True"


def test_what_is_no_interpreter_is_refused() -> None:
    with pytest.raises(SandboxError, match="not a Python interpreter"):
        Bubblewrap(python=Path("/bin/false")).create(Spec("test"))


AS_OTHERS = """
import json, sys
from pathlib import Path
from katcore.sandbox import Limits, Spec, limits, sandbox
from katcore.sandbox import bubblewrap, owner
bomb, repo = sys.argv[1], Path(sys.argv[2])
box = sandbox().create(Spec("test", repo=repo, limits=Limits(pids=50, memory_mib=200)))
run = lambda command: box.exec(command)
facts = {
    "grouped": bool(limits.parents()),
    "overlaid": bubblewrap._overlays(owner.owned()),
    "user": run("id -u").stdout.decode().strip(),
    "edit": run("echo more >>file && rm -r gone && mkdir gone && echo 1 >gone/new && mv dir dir2").code,
    "changed": box.changed(),
    "bomb": run(["/opt/python/bin/python3", "-c", bomb]).stdout.decode().strip(),
    "hog": run(["/opt/python/bin/python3", "-c", "x = b'x' * (400 << 20)"]).code,
    "still": run("cat file").stdout.decode(),
}
box.put("dir2/put", b"put")
facts["put"] = run("cat dir2/put").stdout.decode()
run("chmod 000 dir2; mkdir -p a/b; chmod 000 a")
box.close()
facts["left"] = sorted(path.name for path in owner.owned().iterdir())
print(json.dumps(facts))
"""


def test_an_unprivileged_user_has_the_same_boxes(script: Script, tmp_path: Path) -> None:
    """As nobody when the tests run as root: overlay in a user namespace, no cgroup, rlimits."""
    import json

    place = Path("/tmp") / f"kat-as-nobody-{os.getpid()}"
    try:
        repo, code = place / "repo", place / "code"
        for name in ("dir", "gone"):
            (repo / name).mkdir(parents=True)
            (repo / name / "old").write_text("old\n")
        (repo / "file").write_text("file\n")
        shutil.copytree(ROOT / "katcore", code / "katcore", ignore=shutil.ignore_patterns("__pycache__"))
        prefix: list[str] = []
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "65534:65534", str(place)], check=True)
            prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        env = {"PYTHONPATH": str(code), "KAT_CACHE": str(place / "cache"), "HOME": "/nonexistent"}
        done = script(AS_OTHERS, BOMB, str(repo), prefix=prefix, python=str(other_python()), **env)
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert 10 < int(facts.pop("bomb")) < 60
        assert facts.pop("hog") in (1, 137)
        assert facts == {
            "grouped": False, "overlaid": True, "user": "65534", "edit": 0, "still": "file\nmore\n", "put": "put",
            "changed": ["dir/old", "dir2/old", "file", "gone/new", "gone/old"], "left": ["lock", "merged"],
        }  # fmt: skip
    finally:
        shutil.rmtree(place)


def test_root_may_use_somebody_elses_repository(make: Make, repo: Path) -> None:
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "12345:12345", str(repo)], check=True)
    box = make()
    assert said(box.exec("echo more >>README; rm -r pkg/sub; stat -c %u README pkg")) == "65534\n65534"
    assert box.changed() == ["README", "pkg/sub/c.py"]


DYING = """
import sys
from pathlib import Path
from katcore.sandbox import Spec
from katcore.sandbox.bubblewrap import Bubblewrap
box = Bubblewrap().create(Spec("orphan", repo=Path(sys.argv[1])))
box.exec("echo x >file")
print("ready", flush=True)
box.exec(f"exec sleep 31{sys.argv[2]}")
"""


def test_a_killed_runner_leaves_nothing_after_the_next_create(make: Make, cache: Path, repo: Path) -> None:
    number = str(os.getpid())
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runner = subprocess.Popen([sys.executable, "-c", DYING, str(repo), number], env=env, stdout=subprocess.PIPE)
    assert runner.stdout and runner.stdout.readline() == b"ready\n"
    _until(lambda: bool(running(f"sleep\x0031{number}")))
    make()
    assert list((cache / "box").glob("*/orphan-*")), "a living runner's box is nobody else's"
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdout.close()
    _until(lambda: not running(f"sleep\x0031{number}"))
    make()
    _until(lambda: not list((cache / "box").glob("*/orphan-*")))  # the reaper may be at it, which nobody disturbs
    _until(lambda: not [path for place in limits.parents() for path in place.glob("kat-*-orphan-*")])


def test_a_runner_that_forgets_its_boxes_leaves_nothing(script: Script, cache: Path) -> None:
    source = """
from katcore.sandbox import Spec
from katcore.sandbox.bubblewrap import Bubblewrap
print(Bubblewrap().create(Spec("forgotten")).exec(["true"]).code)
"""
    assert script(source).stdout == "0\n"
    assert not list((cache / "box").glob("*/forgotten-*"))
    assert not [path for place in limits.parents() for path in place.glob("kat-*-forgotten-*")]


def _until(condition: object) -> None:
    for _ in range(500):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.02)
    raise AssertionError("did not happen in 10 s")
