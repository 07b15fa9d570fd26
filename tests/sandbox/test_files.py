"""put, get and changed: the host's view of a box's files, against the box's own, and against hostile links."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from katcore.sandbox import Box, Mount
from katcore.sandbox.looking import seen_inside as asked_inside
from tests.support.sandbox_cases import KINDS, Make, said


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


CHANGES = {
    "add": "echo x >new; mkdir -p d/e; echo y >d/e/f; mkdir hollow",
    "modify": "echo more >>README; echo more >>pkg/sub/c.py",
    "same content again": "cp README t; cat t >README; rm t; touch pkg/a.py",
    "delete": "rm README pkg/a.py; rmdir empty",
    "delete a folder": "rm -r pkg",
    "delete a folder and make it again": "rm -r pkg; mkdir pkg; echo 1 >pkg/a.py; echo 1 >pkg/z.py",
    "make it again with an old folder in it": "rm -r pkg; mkdir -p pkg/sub; echo 1 >pkg/sub/z.py",
    "rename a file": "mv README READYOU",
    "rename a folder": "mv pkg moved",
    "a file becomes a folder": "rm README; mkdir README; echo 1 >README/in",
    "a folder becomes a file": "rm -r pkg; echo 1 >pkg",
    "a folder becomes a link": "mv pkg other; ln -s other pkg",
    "links": "ln -s README soft; ln README hard; ln -sf pkg/b.py link",
    "permissions": "chmod 600 README; chmod +x pkg/a.py",
    "shut": "mkdir -p d/e; echo 1 >d/e/f; chmod 000 d/e/f d/e d",
    "shut what was there": "chmod 000 pkg/a.py pkg",
    "fifo": "mkfifo pipe",
}


def entries(top: Path) -> dict[str, tuple[int, bytes]]:
    """Files and links below a folder: mode and content."""
    found = {}
    for at, folders, files in os.walk(top):
        for name in [*files, *(name for name in folders if Path(at, name).is_symlink())]:
            path = Path(at, name)
            mode = path.lstat().st_mode
            data = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else b""
            found[str(path.relative_to(top))] = (mode, path.read_bytes() if stat.S_ISREG(mode) else data)
    return found


def seen_inside(box: Box, out: Path) -> dict[str, tuple[int, bytes]]:
    """What the box itself sees in its workdir, copied out by its own `cp`."""
    assert box.exec("chmod -R u+rwx /opt/out 2>/dev/null; cp -a . /opt/out/seen").code in (0, 1)
    return entries(out / "seen")


@pytest.mark.parametrize("what", CHANGES)
def test_changed_is_what_the_box_itself_sees(what: str, make: Make, repo: Path, tmp_path: Path, layering: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    box = make(mounts=(Mount(out, "/opt/out", writable=True),))
    box.exec(CHANGES[what])
    listed = box.changed()
    names = sorted({*listed, *entries(repo), "link/behind", "other/a.py", "missing", "README/in"})
    assert box.seen(names) == asked_inside(box, names)
    if "shut" in what:
        return _shut(what, listed)
    before, after = entries(repo), seen_inside(box, out)
    assert listed == sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    assert bool(listed) == (what != "same content again")


def test_seen_below_a_mount_is_the_mount(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    tmp_path.chmod(0o755)
    box = make(mounts=(Mount(tmp_path, "/testbed/pkg"),))
    assert stat.S_IMODE(box.seen(["pkg/file", "pkg/a.py"])["pkg/file"].mode) == 0o640
    assert "pkg/a.py" not in box.seen(["pkg/a.py"])


def _shut(what: str, listed: list[str]) -> None:
    """Compared by hand: not even the owner can copy these."""
    assert listed == (["d/e/f"] if what == "shut" else ["pkg/a.py"])


def test_changed_after_several_processes(make: Make, layering: str) -> None:
    box = make()
    assert box.changed() == []
    box.exec("rm -r pkg")
    box.exec("mkdir pkg; echo 1 >pkg/a.py")
    box.exec("echo 'content of pkg/a.py' >pkg/a.py; chmod 644 pkg/a.py")
    assert box.changed() == ["pkg/b.py", "pkg/sub/c.py"]


@pytest.mark.parametrize(
    "before",
    ["true", "rm -r pkg", "rm -r pkg; mkdir pkg", "rm -r pkg; echo 1 >pkg/../pkg", "rm pkg/a.py; mkdir pkg/new"],
)
def test_put_is_seen_inside_and_got_back(before: str, make: Make, layering: str) -> None:
    box = make()
    box.exec(before)
    paths = ["pkg/new/deep/file", "pkg/a.py", "fresh", "/tmp/a/b", "with space \n and newline"]
    if "echo" in before:
        paths = paths[2:]
    for path in paths:
        box.put(path, path.encode())
        assert box.exec(["cat", "--", path if path[0] == "/" else f"/testbed/{path}"]).stdout == path.encode()
        assert box.get(path) == path.encode()
    listing = said(box.exec(["ls", "-A", "pkg"])) if len(paths) == 5 else ""
    assert ("b.py" in listing) == (before in ("true", "rm pkg/a.py; mkdir pkg/new"))


def test_what_was_put_belongs_to_the_box(make: Make, layering: str) -> None:
    box = make()
    box.put("pkg/sub/tool", b"#!/bin/sh\necho ran\n", 0o755)
    box.put("plain", b"1")
    assert said(box.exec("./pkg/sub/tool; echo 2 >>plain; echo x >pkg/sub/new; stat -c %u plain pkg/sub/tool")) == (
        "ran\n65534\n65534"
    )
    assert said(box.exec("stat -c %a plain pkg/sub/tool")) == "644\n755"


def test_put_replaces_links_and_hidden_files(make: Make, layering: str) -> None:
    box = make()
    box.exec("ln -s README soft; rm pkg/a.py")
    for path in ("soft", "link", "pkg/a.py"):
        box.put(path, b"put")
    assert (
        said(box.exec("cat soft link pkg/a.py; readlink soft link || true; cat README")) == "putputputcontent of README"
    )


def test_put_does_not_write_through_hard_links(make: Make, layering: str) -> None:
    box = make()
    box.exec("ln README /testbed/pkg/hard")
    box.put("pkg/hard", b"put")
    assert box.get("README") == b"content of README\n"


def test_get_tells_a_missing_file_from_a_folder(make: Make, layering: str) -> None:
    box = make()
    box.exec("rm README; mkfifo pipe; ln -s pkg folder; ln -s nowhere dangling; ln -s loop loop; ln -s pipe /tmp/pipe")
    for path in ("README", "nothing", "no/thing", "run.sh/x", "pipe", "dangling", "loop", "/tmp/pipe", "/etc/shadow"):
        with pytest.raises(FileNotFoundError):
            box.get(path)
    for path in ("pkg", "folder", "/tmp", "/etc"):
        with pytest.raises(IsADirectoryError):
            box.get(path)


def test_put_on_a_folder_is_an_error(make: Make, layering: str) -> None:
    box = make()
    for path in ("pkg", "/usr", "/tmp"):
        with pytest.raises(IsADirectoryError):
            box.put(path, b"x")


def test_put_where_the_box_may_not_write_is_an_error(make: Make) -> None:
    for path in ("/usr/bin/true-but-mine", "/opt/env/x", "../../etc/x", "run.sh/x"):
        with pytest.raises(OSError):
            make().put(path, b"x")


def test_get_does_not_follow_links_to_the_host(make: Make, tmp_path: Path, layering: str) -> None:
    secret = tmp_path / "host-secret"
    secret.write_text("canary-of-the-host")
    box = make()
    source = f"ln -s {secret} direct; ln -s {tmp_path} folder; ln -s / root; ln -s ../../../../../../.. up"
    box.exec(source)
    for path in ("direct", f"folder/{secret.name}", f"root{secret}", f"up{secret}", str(secret), f"../../..{secret}"):
        with pytest.raises(FileNotFoundError):
            box.get(path)
    assert b"nobody" in box.get("root/etc/passwd")


def test_put_does_not_follow_links_to_the_host(make: Make, tmp_path: Path, layering: str) -> None:
    outside = tmp_path / "host-folder"
    outside.mkdir()
    (outside / "file").write_text("mine")
    box = make()
    box.exec(f"ln -s {outside} folder; ln -s {outside}/file direct; ln -s / root; ln -s {outside} /tmp/t")
    box.put("direct", b"evil")
    for path in ("folder/file", "folder/new", f"root{outside}/new", "/tmp/t/new", f"../..{outside}/new"):
        with suppress(OSError):  # the same path in the box's own /tmp is as good
            box.put(path, b"evil")
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "mine"


def test_links_within_the_box_are_followed(make: Make, layering: str) -> None:
    box = make()
    box.exec("ln -s pkg/sub way; ln -s /tmp out; echo 1 >/tmp/file")
    assert box.get("link") == b"content of pkg/a.py\n"
    assert box.get("way/c.py") == b"content of pkg/sub/c.py\n"
    assert box.get("out/file") == b"1\n"
    box.put("way/new", b"2")
    assert box.get("pkg/sub/new") == b"2"


def test_a_file_larger_than_memory_is_not_read(make: Make) -> None:
    box = make()
    box.exec("truncate -s 2G big; ln -s /dev/zero endless; ln -s big linked")
    for path, error in (("big", OSError), ("linked", OSError), ("endless", FileNotFoundError)):
        with pytest.raises(error):
            box.get(path)
