"""The reverse of what git writes undoes it, and its own reverse is the patch again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from katcore.dataset.reverse import reverse
from katcore.source.git import ended, isolated

N = "".join(f"{n}\n" for n in range(30)).encode()
CASES: dict[str, tuple[dict[bytes, bytes], dict[bytes, bytes]]] = {
    "edit": ({b"a": N}, {b"a": N.replace(b"7\n", b"seven\n")}),
    "line ends inside lines": (
        {b"a": b"a\n\x0c\nb\xe2\x80\xa8 \xc2\x85\x1c\nc\n"},
        {b"a": b"a\n\x0c\n\xe2\x80\xa8\nd\n"},
    ),
    "carriage returns": ({b"a": b"a\r\nb\r\n"}, {b"a": b"a\r\nB\rb\r\n"}),
    "no newline": ({b"a": b"x\ny", b"b": b"x\n"}, {b"a": b"x\nz", b"b": b"x"}),
    "comes and goes": ({b"a": b"x\n", b"e": b""}, {b"b": b"y\n", b"f/g": b""}),
    "renamed": ({b"a b": N, b"c": N + b"c\n"}, {b"d b/e": N[2:], b"\xc3\xbc": N + b"c\n"}),
    "odd names": ({b'q"': N, b"\xe9": b"x\n"}, {b"t\t": N[2:], b"\xe9": b"y\n"}),
    "content like headers": ({b"a": b"-- a/x\nnew mode 1\n"}, {b"a": b"++ b/x\nold mode 1\n@@ -1 +1 @@\n"}),
}


def git(folder: Path, *args: str, data: bytes = b"") -> bytes:
    done = ended("-c", "user.name=t", "-c", "user.email=t@t", *args, env=isolated(), cwd=folder, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CASES)
def test_undone_and_again(name: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for mode, state in zip((0o644, 0o755), CASES[name]):
        for path in [path for path in tmp_path.rglob("*") if ".git" not in path.parts and path.is_file()]:
            path.unlink()
        for file, data in state.items():
            (tmp_path / os.fsdecode(file)).parent.mkdir(exist_ok=True)
            (tmp_path / os.fsdecode(file)).write_bytes(data)
            (tmp_path / os.fsdecode(file)).chmod(mode)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--message=x")
    patch = git(tmp_path, "diff", "-M20%", "HEAD~", "HEAD").decode()
    undone = reverse(patch)
    git(tmp_path, "apply", "--index", data=undone.encode())
    assert git(tmp_path, "diff", "--cached", "HEAD~") == b""
    assert reverse(undone) == patch
    assert reverse("From: me\n\n" + patch + "-- \n2.39\n") == "From: me\n\n" + undone + "-- \n2.39\n"
    assert reverse(patch.removesuffix("\n")) == undone.removesuffix("\n")


def test_bytes_cannot_be_reversed() -> None:
    with pytest.raises(ValueError, match="binary"):
        reverse("diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n")
