"""Looking for the fix in what git keeps: history, packed refs, reflog, stash, dangling objects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from katcore.environment.workspace import one_commit, workspace
from katcore.source.git import GIT_ENV
from tests.support.hostile_cases import Attack
from tests.support.sandbox_cases import Make, said

LOOK = """
git log --all -p; git reflog --all -p; git stash list -p; git tag; git branch -a; git remote -v
cat .git/packed-refs .git/ORIG_HEAD .git/FETCH_HEAD .git/logs/HEAD 2>/dev/null
for object in $(git fsck --lost-found --no-reflogs 2>/dev/null | awk '{print $3}'); do git show $object; done
git cat-file --batch-all-objects --batch --unordered
true
"""
SECRET = "the-fix-of-tomorrow"

pytestmark = pytest.mark.slow


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository whose fix lies in every corner of git."""
    folder = tmp_path / "history"
    folder.mkdir()
    script = f"""
git init -q . && echo bug >code && git add code && git commit -qm base && base=$(git rev-parse HEAD)
for corner in branch tag dangling packed; do
    git checkout -q --detach $base && echo "{SECRET} $corner" >code && git commit -qam "$corner"
    case $corner in branch) git branch later ;; tag) git tag v2 ;; packed) git branch p && git pack-refs --all ;; esac
done
git checkout -qf $base && echo "{SECRET} stash" >code && git stash -q
"""
    who = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["bash", "-ec", script], cwd=folder, env={"PATH": "/usr/bin:/bin", **GIT_ENV, **who}, check=True)
    return folder


def found(text: str) -> set[str]:
    return {word for word in ("branch", "tag", "dangling", "packed", "stash") if f"{SECRET} {word}" in text}


def test_git_archaeology(make: Make, history: Path) -> None:
    here = subprocess.run(
        ["bash", "-c", LOOK], cwd=history, env={"PATH": "/usr/bin:/bin", **GIT_ENV}, capture_output=True
    )
    assert found(here.stdout.decode("utf-8", "replace")) == {"branch", "tag", "dangling", "packed", "stash"}, (
        "the attack works outside"
    )
    one_commit(history)
    box = make(repo=history)
    assert found(box.exec(LOOK, env=GIT_ENV).stdout.decode("utf-8", "replace")) == set()
    assert said(box.exec("git rev-list --all --count; git tag; git remote; git stash list", env=GIT_ENV)) == "1"


def test_git_archaeology_in_a_task(make: Make, attack: Attack) -> None:
    box = make(repo=workspace(attack.task.source))
    assert said(box.exec("git rev-list --all --count && git reflog --all | wc -l", env=GIT_ENV)) == "1\n0"
