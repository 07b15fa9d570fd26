"""Links that lead out of a box, for the runner to follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sandbox_cases import Make

pytestmark = pytest.mark.slow


SECRET = "secret-of-this-machine"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


def test_symbolic_links(make: Make, secret: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(secret)
    assert (tmp_path / "link").read_text() == SECRET, "a runner that follows links reads it"
    box = make()
    box.exec(["ln", "-s", str(secret), "out"])
    box.exec(["ln", "-s", str(secret.parent), "folder"])
    box.exec("ln -s /proc/1/root root; ln -s /proc/self/cwd/../../../../.. up")
    for path in ("out", "folder/secret", f"root{secret}", f"up{secret}", str(secret)):
        with pytest.raises((FileNotFoundError, OSError)):
            box.get(path)
    box.put("out", b"put")
    assert secret.read_text() == SECRET and box.get("out") == b"put"
    with pytest.raises(OSError):
        box.put("folder/new", b"put")
    assert sorted(path.name for path in secret.parent.iterdir()) == ["link", "secret"]


def test_hard_links(make: Make) -> None:
    box = make()
    for target in ("/etc/passwd", "/usr/bin/env", "/opt/python/bin/python3"):
        assert box.exec(f"ln {target} hard && echo x >>hard").code != 0, target


def test_archive_of_a_hostile_tree(make: Make) -> None:
    box = make()
    box.exec("mkfifo pipe; ln -s / all; mkdir -p a/b; ln -s ../.. a/b/up; ln pipe pipe2")
    assert set(box.changed()) == {"pipe", "pipe2", "all", "a/b/up"}
