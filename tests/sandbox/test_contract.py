"""The Box protocol: processes, their ends, their environment, and what stays from one to the next."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from katcore.errors import SandboxError, UsageError
from katcore.sandbox import ENV, PYTHON, WORKDIR, Limits, Mount, Sandbox, Spec, sandbox
from tests.support.sandbox_cases import KINDS, Make, Script, kept, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_exit_code_is_a_result_and_no_error(make: Make) -> None:
    box = make()
    assert [box.exec(f"exit {code}").code for code in (0, 1, 3, 66, 255)] == [0, 1, 3, 66, 255]


def test_a_signal_is_128_and_its_number(make: Make) -> None:
    box = make()
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        assert box.exec(f"kill -{int(number)} $$").code == 128 + number


def test_a_missing_program_is_127_and_one_that_may_not_run_126(make: Make) -> None:
    box = make()
    assert box.exec(["no-such-program"]).code == 127
    assert box.exec(["./README"]).code == 126
    assert box.exec("no-such-program").code == 127
    assert box.exec(["/bin/true"], cwd="no/such/folder").code == 126
    assert box.exec(["./run.sh"]).stdout == b"ran\n"


def test_a_program_cannot_pass_for_a_failed_sandbox(make: Make) -> None:
    done = make().exec("echo 'bwrap: execvp x: No such file or directory' >&2; exit 1")
    assert done.code == 1


def test_argument_lists_are_not_read_by_a_shell(make: Make) -> None:
    assert make().exec(["printf", "%s|", "a b", "$HOME", "--", "'"]).stdout == b"a b|$HOME|--|'|"


def test_streams_are_kept_apart_and_binary(make: Make) -> None:
    done = make().exec(r"printf '\000\377'; printf '\376' >&2")
    assert (done.stdout, done.stderr) == (b"\0\xff", b"\xfe")


def test_stdin_of_any_size_comes_whole(make: Make) -> None:
    box = make(limits=Limits(output_bytes=4 << 20))
    data = os.urandom(3 << 20)
    assert box.exec(["cat"], stdin=data).stdout == data
    assert box.exec(["cat"]).stdout == b""
    assert box.exec(["true"], stdin=data).code == 0


def test_the_workdir_and_cwd(make: Make) -> None:
    box = make(workdir="/srv/code")
    assert said(box.exec("pwd")) == "/srv/code"
    assert said(box.exec("pwd", cwd="pkg/sub")) == "/srv/code/pkg/sub"
    assert said(box.exec("pwd", cwd="/tmp")) == "/tmp"


def test_the_environment_is_fixed_then_the_specs_then_the_calls(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-host")
    box = make(env={"A": "spec", "B": "spec", "LANG": "C"})
    shown = dict(line.split("=", 1) for line in said(box.exec(["env"], env={"B": "call"})).splitlines())
    wanted = {"A": "spec", "B": "call", "LANG": "C", "HOME": "/tmp/home", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    assert {name: shown[name] for name in wanted} == wanted
    assert set(shown) == {*wanted, "PATH", "PWD"}


def test_files_stay_from_one_process_to_the_next(make: Make, layering: str) -> None:
    box = make()
    box.exec("echo 1 >new; rm README; echo 2 >/tmp/t; echo 3 >~/h; mv pkg moved")
    assert said(box.exec("cat new /tmp/t ~/h moved/sub/c.py; ls")).split("\n")[:4] == [
        "1",
        "2",
        "3",
        "content of pkg/sub/c.py",
    ]
    assert "README" not in said(box.exec(["ls"]))


def test_the_repository_never_changes(make: Make, repo: Path, layering: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(repo.rglob("*"))}
    box = make()
    box.exec("echo x >README; rm -r pkg; chmod 000 run.sh; ln -sf /etc link; touch empty/file")
    box.close()
    assert {path: path.stat().st_mtime_ns for path in sorted(repo.rglob("*"))} == before
    assert (repo / "README").read_text() == "content of README\n"


def test_two_boxes_share_nothing(make: Make) -> None:
    one, other = make(), make()
    one.exec("echo 1 >mine; echo 1 >/tmp/mine")
    assert other.exec("cat mine || cat /tmp/mine").code != 0


def test_a_box_without_a_repository_has_an_empty_workdir(make: Make) -> None:
    box = make(repo=None)
    assert said(box.exec("ls -A; echo x >file; pwd")) == WORKDIR
    assert box.changed() == ["file"]


def test_mounts_are_read_only_unless_said_otherwise(make: Make, tmp_path: Path) -> None:
    for name in ("shown", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    box = make(mounts=(Mount(tmp_path / "shown", ENV), Mount(tmp_path / "open", "/opt/open", writable=True)))
    assert said(box.exec("cat /opt/env/file /opt/open/file")) == "shownopen"
    assert box.exec(f"echo x >{ENV}/file").code != 0
    assert box.exec("echo x >/opt/open/new").code == 0
    assert (tmp_path / "shown/file").read_text() == "shown"
    assert (tmp_path / "open/new").read_text() == "x\n"
    assert box.get("/opt/open/new") == b"x\n"


def test_background_processes_end_with_their_exec(make: Make) -> None:
    box = make()
    box.exec("(setsid sh -c 'while :; do echo x >>/testbed/beat; sleep 0.02; done' &) ; sleep 0.2")
    beat = box.get("beat")
    assert beat
    assert box.exec(["sleep", "0.2"]).code == 0
    assert box.get("beat") == beat


def test_calls_from_several_threads_take_turns(make: Make) -> None:
    box = make()
    threads = [threading.Thread(target=box.exec, args=(f"sleep 0.05; echo {n} >>log",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(box.get("log").split()) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_long_command_is_a_result(make: Make) -> None:
    assert make().exec(f": {'x' * 200_000}").code == 126


def test_close_forgets_the_files_and_may_be_repeated(make: Make, cache: Path) -> None:
    before = kept(cache)
    box = make()
    box.exec("mkdir -p deep/er; echo x >deep/er/f; chmod 000 deep/er deep; mkdir /tmp/shut; chmod 000 /tmp/shut")
    assert len(kept(cache)) == len(before) + 1
    box.close()
    box.close()
    assert kept(cache) == before
    with pytest.raises(SandboxError, match="closed"):
        box.exec(["true"])


def test_close_ends_a_call_in_another_thread(make: Make) -> None:
    box = make()
    ends: list[str] = []

    def call() -> None:
        try:
            box.exec("touch /tmp/up; sleep 600")
        except SandboxError as error:
            ends.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.3)
    box.close()
    thread.join()
    assert ends == ["the box test is closed"]


def test_an_interrupted_call_leaves_no_process(boxes: Sandbox, script: Script) -> None:
    """As when the user presses ^C, or a signal's handler raises."""
    source = """
import signal, sys
from katcore.sandbox import Spec, sandbox
class Stop(Exception): pass
def stop(*_): raise Stop
signal.signal(signal.SIGALRM, stop)
box = sandbox(sys.argv[1]).create(Spec("test"))
signal.setitimer(signal.ITIMER_REAL, 1)
try:
    box.exec("while :; do echo x >>beat; sleep 0.02; done")
except Stop:
    before = box.get("beat")
    print(box.exec("sleep 0.2; true").code, box.get("beat") == before)
"""
    done = script(source, boxes.name)
    assert done.stdout == "0 True\n", done.stderr


def test_close_removes_trees_deeper_than_a_path_can_name(make: Make, cache: Path) -> None:
    box = make()
    source = "import os\nfor _ in range(30): os.mkdir('d' * 250); os.chdir('d' * 250)\nopen('end', 'w').close()"
    assert box.exec([PYTHON, "-c", source]).code == 0
    assert all(path.startswith("ddd") for path in box.changed())
    box.close()
    assert not kept(cache)


def test_the_repository_must_be_a_folder(boxes: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="not a folder"):
        boxes.create(Spec("test", repo=tmp_path / "missing"))


def test_sandboxes_are_found_by_name() -> None:
    assert sandbox("bubblewrap").name == "bubblewrap"
    with pytest.raises(UsageError, match="unknown sandbox 'none'"):
        sandbox("none")
