"""What a box must not see or do, one test for each way to try it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.sandbox import GATEWAY, PYTHON, Box
from tests.support.sandbox_cases import KINDS, Make, Script, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


CANARY = "kat-canary-d1f3a9"


def everything_readable(box: Box) -> set[str]:
    """All folders' names of the box's file system that its user can list, /proc and /sys left out."""
    done = box.exec("find / \\( -path /proc -o -path /usr \\) -prune -o -print 2>/dev/null || true")
    return set(done.stdout.decode().splitlines())


def test_it_reads_no_home(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = Path.home(), tmp_path / "home" / "user"
    fake.mkdir(parents=True)
    planted = [fake / f".{CANARY}", real / f".{CANARY}"]
    monkeypatch.setenv("HOME", str(fake))
    try:
        for path in planted:
            path.write_text(CANARY)
        box = make()
        for path in planted:
            assert box.exec(["cat", str(path)]).code != 0
            with pytest.raises(FileNotFoundError):
                box.get(str(path))
        assert not [path for path in everything_readable(box) if CANARY in path]
        assert box.exec(["ls", "-d", "/root", "/home", "/work", "/srv", "/mnt", "/media", "/boot"]).stdout == b""
        assert box.exec("ls -A /sys 2>/dev/null").stdout == b""
        assert said(box.exec("echo ~; ls -A ~")) == "/tmp/home"
    finally:
        planted[1].unlink()


def test_it_reads_nothing_of_the_cache(make: Make, cache: Path) -> None:
    (cache / "src").mkdir(exist_ok=True)
    (cache / "src" / CANARY).write_text(CANARY)
    box, other = make(), make()
    other.put("notes", CANARY.encode())
    assert box.exec(["ls", str(cache)]).code != 0
    assert box.exec(["cat", str(cache / "src" / CANARY)]).code != 0
    assert not [path for path in everything_readable(box) if CANARY in path or str(cache) in path]
    assert box.exec(["grep", "-rl", CANARY, "/testbed", "/tmp", "/run", "/opt", "/var", "/dev/shm"]).stdout == b""


PLANT = """
import json, os, subprocess, sys
from pathlib import Path
from katcore.sandbox import PYTHON, Spec
from katcore.sandbox.bubblewrap import Bubblewrap

planted, repo = json.loads(sys.argv[1]), Path(sys.argv[2])
for source, target in planted:
    subprocess.run(["mount", "--bind", source, target], check=True)
show = "import frobnicate; print(frobnicate.__version__, frobnicate.__file__)"
host = [subprocess.run([python, "-c", show], capture_output=True, text=True, cwd="/").stdout for python in sys.argv[3:]]
box = Bubblewrap().create(Spec("test", repo=repo))
own = [box.exec([python, "-c", show]).stdout.decode() for python in (PYTHON, "/usr/bin/python3", "python3")]
elsewhere = [box.exec([python, "-c", show], cwd="/tmp").code for python in (PYTHON, "/usr/bin/python3", "python3")]
found = box.exec("find / -xdev -path /proc -prune -o -name 'frobnicate*' -print 2>/dev/null").stdout.decode()
box.close()
print(json.dumps({"host": host, "own": own, "elsewhere": elsewhere, "found": found.split()}))
"""


def test_it_reads_no_newer_installed_copy_of_the_package_under_test(
    script: Script, tmp_path: Path, cache: Path
) -> None:
    """frobnicate 2.0 is installed in this machine's Pythons and for its user; the box has 1.0 in its repository."""
    newer, repo, home = tmp_path / "newer", tmp_path / "old", tmp_path / "user"
    user_site = home / ".local/lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    for folder, version in ((newer, "2.0"), (repo, "1.0"), (user_site, "2.0")):
        (folder / "frobnicate").mkdir(parents=True)
        (folder / "frobnicate" / "__init__.py").write_text(f"__version__ = {version!r}\n")
    places = {sysconfig.get_path("purelib", vars={"base": sys.base_prefix}), "/usr/lib/python3/dist-packages"}
    planted = [(str(newer), place) for place in sorted(places) if Path(place).is_dir()]
    assert planted
    base = os.path.realpath(sys.executable)
    done = script(
        PLANT, json.dumps(planted), str(repo), base, "/usr/bin/python3",
        prefix=["unshare", "-Urm"], python=base, KAT_CACHE=str(cache), HOME=str(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert all(text.startswith("2.0") for text in seen["host"]), "the plant does not grow"
    assert [text.split() for text in seen["own"]] == [["1.0", "/testbed/frobnicate/__init__.py"]] * 3
    assert seen["elsewhere"] == [1, 1, 1]
    assert all(path.startswith("/testbed/") for path in seen["found"])


@pytest.mark.parametrize("python", [PYTHON, "/usr/bin/python3"])
def test_its_pythons_have_no_packages(python: str, make: Make) -> None:
    names = "import importlib.metadata as m; print([d.name for d in m.distributions()])"
    assert said(make().exec([python, "-c", names])) == "[]"


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine's loopback that answers."""
    server = socket.create_server(("127.0.0.1", 0))
    yield server.getsockname()[1]
    server.close()


TRY = """
import socket, sys
for place in (("127.0.0.1", int(sys.argv[1])), ("10.0.0.1", 80), ("8.8.8.8", 53), ("::1", int(sys.argv[1]))):
    try:
        socket.create_connection(place, timeout=2)
        print("reached", place)
    except OSError as error:
        print(type(error).__name__)
try:
    print("resolved", socket.getaddrinfo("pypi.org", 443))
except socket.gaierror:
    print("unknown host")
"""


def test_it_has_no_network(make: Make, listener: int) -> None:
    socket.create_connection(("127.0.0.1", listener), timeout=5).close()
    done = said(make().exec([PYTHON, "-c", TRY, str(listener)]))
    assert "reached" not in done and "resolved" not in done, done


def test_its_own_loopback_works(make: Make) -> None:
    source = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print(1)"
    )
    assert said(make().exec([PYTHON, "-c", source])) == "1"


def test_it_cannot_reach_abstract_sockets(make: Make) -> None:
    name = f"\0{CANARY}"
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    source = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{CANARY}')"
    subprocess.run([sys.executable, "-c", source], check=True)
    assert b"ConnectionRefusedError" in make().exec([PYTHON, "-c", source]).stderr
    server.close()


def test_the_gateways_socket_is_its_only_way_out(make: Make, tmp_path: Path) -> None:
    path = Path("/tmp") / f"{CANARY}-{os.getpid()}.sock"  # sun_path is short
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o666)  # as the gateway does
    server.listen()

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"hello " + connection.recv(100))

    thread = threading.Thread(target=answer)
    thread.start()
    source = "import socket; s = socket.socket(socket.AF_UNIX); "
    source += f"s.connect('{GATEWAY}'); s.sendall(b'box'); print(s.recv(99))"
    try:
        assert said(make(socket=path).exec([PYTHON, "-c", source])) == "b'hello box'"
    finally:
        thread.join()
        server.close()
        path.unlink()


def test_the_hosts_processes_are_out_of_sight(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_TEST_SECRET", CANARY)
    box = make()
    assert len([name for name in said(box.exec(["ls", "/proc"])).split() if name.isdigit()]) <= 3
    assert CANARY not in said(box.exec("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'"))
    assert box.exec(f"kill -0 {os.getpid()} 2>/dev/null || ! [ -d /proc/{os.getpid()} ]").code == 0


def test_no_file_of_the_host_is_left_open(make: Make) -> None:
    source = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    kept = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        assert said(make().exec([PYTHON, "-c", source])) == "['0', '1', '2', '3']"  # 3 is the listing itself
    finally:
        os.close(kept)


def test_its_user_is_not_root_and_has_no_capability(make: Make) -> None:
    box = make()
    assert said(box.exec("id -u; id -g; id -un")) == "65534\n65534\nnobody"
    status = dict(
        line.split(":\t", 1) for line in said(box.exec(["cat", "/proc/self/status"])).splitlines() if ":\t" in line
    )
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"] == "1"
    for command in (
        "mount -t tmpfs none /tmp",
        "chroot / true",
        "mknod /tmp/d b 8 0",
        "hostname evil",
        "chown 0 README",
    ):
        assert box.exec(command).code != 0, command
    assert box.exec("cp /usr/bin/id /tmp/id; chmod u+s /tmp/id; su -c id; /tmp/id -u").stdout == b"65534\n"


@pytest.mark.parametrize(
    "folder",
    ["/", "/usr", "/usr/bin", "/usr/local", "/usr/lib/python3/dist-packages", "/etc", "/opt", "/opt/python/bin", "/run",
     "/var", "/proc/sys/kernel"],
)  # fmt: skip
def test_nothing_of_the_system_can_be_written(folder: str, make: Make) -> None:
    done = make().exec(["touch", f"{folder}/{CANARY}"])
    assert done.code == 1, done.stderr
    assert not Path(folder, CANARY).exists()


def test_the_environment_of_a_task_cannot_be_written(make: Make, tmp_path: Path) -> None:
    from katcore.sandbox import ENV, Mount

    (tmp_path / "env").mkdir()
    box = make(mounts=(Mount(tmp_path / "env", ENV),))
    assert box.exec(f"touch {ENV}/x; mv {ENV} /tmp/x; rmdir {ENV}").code != 0
    assert not list((tmp_path / "env").iterdir())


def test_etc_is_minimal(make: Make) -> None:
    names = set(said(make().exec(["ls", "/etc"])).split()) - {"resolv.conf"}  # an engine's, without a name server
    assert names <= {"alternatives", "group", "hostname", "hosts", "ld.so.cache", "localtime", "mtab", "nsswitch.conf",
                     "passwd", "shells", "ssl"}  # fmt: skip
    assert said(make().exec("date +%Z; hostname")) == "UTC\nbox"
