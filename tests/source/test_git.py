"""Git is started in one place: what ends it is told with the repository's name, and nobody's configuration counts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from katcore.errors import InputError, KatError
from katcore.mine.changes import commits
from katcore.mine.history import Selection, history
from katcore.source import git
from tests.support.repos import Repo


def test_an_error_names_the_repository_and_the_reason(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit(files={"a.py": "x = 1\n"})
    opened = git.open_repository(str(folder))
    with pytest.raises(InputError, match=rf"^{folder}: fatal: Needed a single revision$"):
        opened.git("rev-parse", "--verify", "nonsense")
    with pytest.raises(InputError, match=rf"^{folder}: an object is missing or damaged: fatal: bad object 0"):
        list(history(opened, ["0" * 39 + "1"], Selection("HEAD")))
    with pytest.raises(InputError, match=rf"^{folder.parent}: fatal: not a git repository"):
        git.open_repository(str(folder.parent))


def test_a_url_that_leads_nowhere_is_named_without_its_credentials(tmp_path: Path) -> None:
    with pytest.raises(KatError, match=r"^http://127\.0\.0\.1:9/shop: fatal: ") as caught:
        git.open_repository("http://me:secret@127.0.0.1:9/shop")
    assert "secret" not in str(caught.value)


def test_a_head_at_a_branch_that_is_not_there(folder: Path) -> None:
    repo = Repo(folder)
    with pytest.raises(InputError, match=f"^{folder}: has no commits$"):
        next(iter(commits([str(folder)])))
    repo.commit(files={"a.py": "x = 1\n"})
    repo.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(InputError, match=f"^{folder}: HEAD is at the branch gone, which has no commits$") as error:
        next(iter(commits([str(folder)])))
    assert error.value.hint == "--range main mines another branch"
    assert len(list(commits([str(folder)], Selection(range="main")))) == 1


def grown(folder: Path) -> Repo:
    repo = Repo(folder)
    for number in range(3):
        repo.commit(files={"m.py": f"x = {number}\n"})
    return repo


def take_away(repo: Repo, name: str) -> None:
    id = repo.git("rev-parse", name).decode().strip()
    (repo.folder / ".git" / "objects" / id[:2] / id[2:]).unlink()


def garble(repo: Repo, name: str) -> None:
    id = repo.git("rev-parse", name).decode().strip()
    path = repo.folder / ".git" / "objects" / id[:2] / id[2:]
    path.chmod(0o644)
    path.write_bytes(b"junk")


LOST: dict[str, Callable[[Repo], object]] = {
    "a blob is missing": lambda repo: take_away(repo, "HEAD~1:m.py"),
    "a tree is missing": lambda repo: take_away(repo, "HEAD~1^{tree}"),
    "a commit is missing": lambda repo: take_away(repo, "HEAD~1"),
    "a blob is damaged": lambda repo: garble(repo, "HEAD~1:m.py"),
    "a commit is damaged": lambda repo: garble(repo, "HEAD~1"),
}


@pytest.mark.parametrize("damage", LOST.values(), ids=LOST)
def test_a_repository_that_is_not_whole_is_named_with_the_reason(
    damage: Callable[[Repo], object], folder: Path
) -> None:
    damage(grown(folder))
    code, said = mined(folder)
    assert code == 4
    assert said.startswith(f"kat-mine: {folder}: an object is missing or damaged: ")


def test_a_head_that_names_a_commit_that_is_not_there(folder: Path) -> None:
    repo = grown(folder)
    (folder / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    code, said = mined(folder)
    assert (code, said) == (4, f"kat-mine: {folder}: HEAD is {'1' * 40}, which is not there")
    assert repo.folder == folder


@pytest.mark.parametrize("shape", ["--filter=blob:none", "--filter=tree:0"])
def test_a_partial_clone_is_refused_before_git_looks_for_what_it_lacks(shape: str, folder: Path) -> None:
    repo = grown(folder.with_name("full"))
    repo.git("config", "uploadpack.allowfilter", "true")
    repo.git("clone", "--quiet", shape, f"file://{repo.folder}", str(folder))
    assert mined(folder) == (4, f"kat-mine: {folder}: a partial clone lacks blobs")
    other = Repo(folder.with_name("other"))
    other.commit(files={"a.py": "x = 1\n"})
    other.git("config", "remote.origin.promisor", "false")
    assert mined(other.folder)[0] == 0


def test_shallow_bare_and_linked_repositories_are_mined(folder: Path) -> None:
    repo = grown(folder.with_name("full"))
    for name, arguments in {"shallow": ("--depth=2", f"file://{repo.folder}"), "bare": ("--bare", repo.folder)}.items():
        repo.git("clone", "--quiet", *map(str, arguments), str(folder.with_name(name)))
        assert mined(folder.with_name(name))[0] == 0
    repo.git("worktree", "add", "--quiet", str(folder.with_name("linked")), "-b", "side")
    assert mined(folder.with_name("linked"))[0] == 0


def test_a_repository_whose_objects_are_lent_and_gone(folder: Path) -> None:
    repo = grown(folder.with_name("full"))
    repo.git("clone", "--quiet", "--shared", str(repo.folder), str(folder))
    repo.folder.rename(folder.with_name("moved"))
    code, said = mined(folder)
    assert code == 4 and said.startswith(f"kat-mine: {folder}: ")


def mined(folder: Path) -> tuple[int, str]:
    """The exit status of the real command, and the first line that it says."""
    done = subprocess.run(["kat-mine", "changes", str(folder)], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "internal" not in done.stderr
    return done.returncode, done.stderr.splitlines()[0]


@pytest.mark.parametrize("name", [b"caf\xe9", "a\u2028b\x85".encode(), b"a\x0bb\x1cc"])
def test_a_folder_of_any_name_is_found_again(name: bytes, tmp_path: Path) -> None:
    repo = grown(tmp_path / os.fsdecode(name) / "shop")
    git.remember(git.open_repository(str(repo.folder)))
    assert git.locate("local:shop", repo.head()).folder == repo.folder / ".git"


def test_a_folder_that_is_no_repository_any_more_is_passed_over(tmp_path: Path) -> None:
    first, second = grown(tmp_path / "one" / "shop"), grown(tmp_path / "two" / "shop")
    for repo in (first, second):
        git.remember(git.open_repository(str(repo.folder)))
    shutil.rmtree(first.folder / ".git")
    assert git.locate("local:shop", second.head()).folder == second.folder / ".git"
    second.git("config", "remote.origin.promisor", "true")
    with pytest.raises(InputError, match="no repository known here as shop"):
        git.locate("local:shop", second.head())


def test_without_git_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KatError, match="git is not installed"):
        git.run("version", where="here", env=git.isolated())
    with pytest.raises(FileNotFoundError, match="none"):
        git.run("version", where="here", env=git.isolated(), cwd=tmp_path / "none")


def running(word: str) -> list[int]:
    """The processes with this word on their command line; those that have ended have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    word = f"1000.{time.time_ns()}"
    wait = f"alias.wait=!echo > {tmp_path}/started; sleep {word} & wait"
    with pytest.raises(subprocess.TimeoutExpired):
        git.ended("-c", wait, "wait", env=git.isolated(), timeout=2)
    assert (tmp_path / "started").exists()
    for _ in range(200):
        if not (left := running(word)):
            return
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    pytest.fail("what git had started went on")


@pytest.mark.parametrize("make", [git.neutral, git.isolated])
def test_nobody_s_configuration_counts(make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "somebody")
    assert git.ended("config", "--get", "user.name", env=make(), cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("place", "remotes", "name"),
    [
        ("pallets+click/repo", {}, "pallets+click"),
        ("shop/repo.git", {}, "shop"),
        ("shop.git", {}, "shop"),
        ("shop/repo/repo", {}, "shop"),
        ("shop", {"origin": "https://forge.example/owner/cart.git"}, "owner/cart"),
        ("shop", {"origin": "git@forge.example:owner/cart"}, "owner/cart"),
        ("shop", {"upstream": "https://u:p@forge.example/a/b/cart/.git"}, "a/b/cart"),
        ("shop", {"fork": "https://forge.example/me/cart", "origin": "https://forge.example/owner/cart"}, "owner/cart"),
        ("shop", {"origin": "https://forge.example/repo"}, "shop"),
        ("shop/repo", {"origin": "/srv/owner/cart.git"}, "shop"),
        ("shop/repo", {"origin": "file:///srv/owner/cart"}, "shop"),
    ],
)
@pytest.mark.parametrize("bare", [True, False])
def test_a_repository_s_name_is_its_remote_s_or_its_folder_s(
    place: str, remotes: dict[str, str], name: str, bare: bool, tmp_path: Path
) -> None:
    repo = Repo(tmp_path / place, *(["--bare"] if bare else []))
    for remote, url in remotes.items():
        repo.git("remote", "add", remote, url)
    assert git.open_repository(str(repo.folder)).name == name
    if not bare:
        assert git.open_repository(str(repo.folder / ".git")).name == name


def test_a_work_tree_s_name_is_that_of_the_repository(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop" / "repo")
    repo.commit(files={"a.py": "x = 1\n"})
    repo.git("worktree", "add", "-q", str(tmp_path / "elsewhere"))
    assert git.open_repository(str(tmp_path / "elsewhere")).name == "shop"
    (tmp_path / "shop" / "repo" / "sub").mkdir()
    assert git.open_repository(str(tmp_path / "shop" / "repo" / "sub")).name == "shop"


def test_a_url_of_this_host_is_named_by_its_folder(tmp_path: Path) -> None:
    Repo(tmp_path / "shop" / "repo").commit(files={"a.py": "x = 1\n"})
    assert git.open_repository(f"file://{tmp_path}/shop/repo").name == "shop"


def test_where_no_folder_names_it_a_repository_is_unnamed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Repo(folder)
    monkeypatch.setattr(git, "GENERIC", git.GENERIC | set(folder.parts))
    assert git.open_repository(str(folder)).name == git.UNNAMED
