"""Sources of tasks: the base of a change as files, from wherever it can be had."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from katcore.errors import InputError, KatError
from katcore.mine.changes import Changes, commits
from katcore.records import Change, TaskSource
from katcore.source import git
from katcore.source.checkout import checkout, source_of
from tests.support.repos import Repo, sdist


def mine(where: str) -> list[Change]:
    return [change for item in commits([where]) for change in Changes()(item)]


def test_the_base_of_a_commit_has_the_blobs_own_bytes(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    files = {"a.txt": "a\nb\n", ".gitattributes": "*.txt text eol=crlf ident\na.txt export-ignore\n", "b c": "$Id$\n"}
    repo.commit("one", files)
    repo.write("run", "x", 0o755)
    (folder / "link").symlink_to("a.txt")
    repo.commit("two")
    repo.commit("three", {"a.txt": "c\n"})
    change = mine(str(folder))[0]
    checkout(source_of(change), tmp_path / "out")
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [".gitattributes", "a.txt", "b c", "link", "run"]
    assert {name: (out / name).read_bytes().decode() for name in files} == files
    assert (out / "run").stat().st_mode & 0o100 and (out / "link").readlink() == Path("a.txt")


def test_the_base_of_the_first_commit_is_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    Repo(folder).commit("one", {"a": "1\n"})
    checkout(source_of(mine(str(folder))[0]), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a": "1\n"})
    repo.commit("two", {"a": "2\n"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        checkout(source_of(mine(str(folder))[0]), tmp_path / "out")


def test_a_repository_without_url_is_found_again_and_its_path_stays_here(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a": "1\n"})
    repo.commit("two", {"a": "2\n"})
    repo.git("remote", "add", "origin", str(tmp_path / "elsewhere"))
    change = mine(str(folder))[0]
    assert (change.repo, change.source.url) == ("shop", None)
    source = source_of(change)
    assert source.url == "local:shop"
    shutil.rmtree(os.environ["KAT_CACHE"])
    with pytest.raises(InputError, match="no repository known here as shop"):
        checkout(source, tmp_path / "out")


def test_two_repositories_of_one_name_are_told_apart(tmp_path: Path) -> None:
    bases = []
    for place in ("x", "y"):
        repo = Repo(tmp_path / place / "shop")
        repo.commit("one", {"a": place})
        repo.commit("two", {"a": "2\n"})
        bases.append(source_of(mine(str(repo.folder))[0]))
    for place, source in zip(("x", "y"), bases, strict=True):
        checkout(source, tmp_path / f"out-{place}")
        assert (tmp_path / f"out-{place}" / "a").read_text() == place


def test_urls_are_cloned_once_and_fetched_later(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a": "1\n"})
    url = f"file://{folder}"
    assert [change.title for change in mine(url)] == ["one"]
    repo.commit("two", {"a": "2\n"})
    changes = mine(url)
    assert [change.title for change in changes] == ["two", "one"]
    assert changes[0].source.url is None  # file: is a path of this host
    shutil.rmtree(folder)
    checkout(source_of(changes[0]), tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "1\n"


def test_a_url_that_cannot_be_cloned_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KatError) as error:
        mine(f"file://{tmp_path / 'missing'}")
    assert "\n" not in str(error.value)
    with pytest.raises(KatError):
        mine("ext::sh -c true")


@pytest.mark.parametrize(
    ("url", "public", "name"),
    [
        ("https://me:token@forge.example/owner/shop.git", "https://forge.example/owner/shop.git", "owner/shop"),
        ("https://token@forge.example:8443/o/s?x=1#y", "https://forge.example:8443/o/s", "o/s"),
        ("ssh://git@forge.example/owner/shop", "ssh://git@forge.example/owner/shop", "owner/shop"),
        ("ssh://git:pw@forge.example/owner/shop", "ssh://git@forge.example/owner/shop", "owner/shop"),
        ("git@forge.example:owner/shop.git", "git@forge.example:owner/shop.git", "owner/shop"),
        ("https://forge.example/group/sub/shop/", "https://forge.example/group/sub/shop/", "group/sub/shop"),
        ("file:///srv/shop.git", None, ""), ("/srv/shop.git", None, ""), ("../shop", None, ""),
    ],
)  # fmt: skip
def test_urls_lose_credentials_and_paths_are_not_urls(url: str, public: str | None, name: str) -> None:
    assert git.public_url(url) == public
    if public:
        assert git.repo_name(url) == name


def test_bare_repositories_worktrees_and_subfolders(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"sub/a": "1\n"})
    subprocess.run(["git", "clone", "-q", "--bare", str(folder), str(tmp_path / "bare" / "shop.git")], check=True)
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    ids = {mine(str(where))[0].id for where in (folder, folder / "sub", tmp_path / "bare/shop.git", tmp_path / "tree")}
    assert len(ids) == 1


def test_a_release_without_its_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sha256"):
        checkout(TaskSource(kind="sdist", url="pkg:pypi/shop"), tmp_path / "out")


def test_inline_sources(tmp_path: Path) -> None:
    data = sdist(tmp_path, "shop", "1", {"a.py": "1\n"}).read_bytes()
    url = "data:application/gzip;base64," + base64.b64encode(data).decode()
    checkout(TaskSource(kind="inline", url=url, sha256=hashlib.sha256(data).hexdigest()), tmp_path / "out")
    assert (tmp_path / "out/shop-1/a.py").read_text() == "1\n"
    with pytest.raises(InputError, match="does not have its sha256"):
        checkout(TaskSource(kind="inline", url=url, sha256="0" * 64), tmp_path / "other")
    with pytest.raises(InputError, match="not base64"):
        checkout(TaskSource(kind="inline", url="data:x;base64,?"), tmp_path / "other")
    checkout(TaskSource(kind="inline"), tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
