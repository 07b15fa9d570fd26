"""The repository of a task as folders of this machine.

In: a task's source. Out: a read-only cached folder with the files at the base commit and a git history of exactly one
commit (no remote, no tag, no reflog, fixed author and dates): what an agent may see. `patched` is a copy to look at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.environment.patch import apply_here
from katcore.records import TaskSource
from katcore.sandbox.docker import exported
from katcore.source.checkout import checkout
from katcore.source.git import EXACT, isolated, run

WHEN = "2000-01-01T00:00:00+0000"


def workspace(source: TaskSource) -> Path:
    """The cached folder of a source; boxes put their writes over it, nobody may change it."""
    content = exported.digest(source.url) if source.kind == "image" else source.sha256
    final = cache_dir("work") / digest_of("work/2", source.kind, source.url, source.ref, content)
    if final.is_dir():
        return final
    with locked(final):
        if not final.is_dir():
            with fresh("work") as made:
                if source.kind == "image":
                    exported.copy_out(source.url, source.ref, made)
                else:
                    checkout(source, made)
                    _age(made)
                one_commit(made)
                publish(made, final)
    return final


def _age(folder: Path) -> None:
    """Give all files one old date, so that no tool finds them newer than what is made from them, at any clock."""
    when = datetime.fromisoformat(WHEN).timestamp()
    for top, _, files in os.walk(folder):
        for name in files:
            os.utime(Path(top, name), (when, when), follow_symlinks=False)


def one_commit(folder: Path) -> None:
    """Replace whatever history there is by one commit of all files, ignored ones included."""
    history = folder / ".git"
    if history.is_symlink() or history.is_file():
        history.unlink()
    elif history.is_dir():
        shutil.rmtree(history)
    (history / "info").mkdir(parents=True)
    (history / "info" / "attributes").write_text(EXACT, encoding="utf-8")
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    config = ["-c", "core.logAllRefUpdates=false", "-c", "gc.auto=0", "-c", "core.autocrlf=false"]
    for arguments in (
        ["init", "--quiet", "--initial-branch=main", "--template="],
        ["add", "--all", "--force", "."],
        ["commit", "--quiet", "--allow-empty", "--no-verify", "--no-gpg-sign", "--message=base"],
        ["update-index", "-q", "--really-refresh"],
    ):
        run(*config, *arguments, where=f"a task's workspace: git {arguments[0]}", env=isolated() | who, cwd=folder)


@contextmanager
def patched(source: TaskSource, *patches: str) -> Iterator[Path]:
    """A throw-away copy of the repository with patches applied in order, without git. Raises BadPatch."""
    with tempfile.TemporaryDirectory(prefix="kat-work-") as top:
        folder = Path(top) / "repo"
        shutil.copytree(workspace(source), folder, symlinks=True, ignore=_top_git)
        for patch in patches:
            apply_here(folder, patch)
        yield folder


def _top_git(_: str, names: list[str]) -> list[str]:
    return [".git"] if ".git" in names else []


_WHO = {"NAME": "kat", "EMAIL": "kat@localhost", "DATE": WHEN}
