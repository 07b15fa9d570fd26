"""Releases of packages from a package index on the loopback: which ones, and what of them enters a change."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.errors import InputError, KatError, RecordError, Rejected, UsageError
from katcore.mine.options import ReleasesOptions
from katcore.mine.releases import Releases, pairs
from katcore.records import Change, encode
from katcore.source import pip_session
from katcore.source.archive import members, unpack
from katcore.source.checkout import checkout, source_of
from tests.support.repos import Index, Repo, sdist, served

PY = {"pyproject.toml": '[project]\nname = "shop"\n', "LICENSE": "MIT"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index over HTTP that pip is configured to use."""
    made = Index(tmp_path / "index")
    with served(made) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        pip_session.settings.cache_clear()
        yield made


def release(index: Index, tmp_path: Path, version: str, files: dict[str, bytes | str], **listed: object) -> str:
    return index.add(sdist(tmp_path, "shop", version, {**PY, **files}), **listed)  # type: ignore[arg-type]


def mine(*args: str, with_tests: bool = False, **options: object) -> list[Change]:
    bounds = dict(zip(("first", "last"), args))
    warn = options.pop("warn", None)
    items = pairs(["shop"], ReleasesOptions(**bounds, **options), warn=warn)  # type: ignore[arg-type]
    return [change for item in items for change in Releases(with_tests=with_tests)(item)]


def three(index: Index, tmp_path: Path) -> list[str]:
    return [
        release(index, tmp_path, "1.0", {"shop.py": "x = 1\n"}, uploaded="2024-01-01T00:00:00Z"),
        release(index, tmp_path, "1.10", {"shop.py": "x = 3\n"}, uploaded="2024-03-01T00:00:00.123456Z"),
        release(index, tmp_path, "1.2", {"shop.py": "x = 2\n"}, uploaded="2024-02-01T01:00:00+01:00"),
    ]


def test_consecutive_releases_in_the_order_of_their_versions(index: Index, tmp_path: Path) -> None:
    first, last, middle = three(index, tmp_path)
    changes = mine()
    assert [(c.base_commit, c.head_commit) for c in changes] == [(first, middle), (middle, last)]
    assert [c.title for c in changes] == ["shop 1.2", "shop 1.10"]
    assert [c.created_at for c in changes] == ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00.123456Z"]
    assert changes[0].source.url == "pkg:pypi/shop@1.2"
    assert changes[0].source.sha256 == middle
    assert "+x = 2" in changes[0].patch


def test_nothing_of_the_host_is_in_a_record(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    text = b"".join(encode(change) for change in mine()).decode()
    assert "127.0.0.1" not in text and str(tmp_path) not in text and os.environ["KAT_CACHE"] not in text


def test_from_and_to(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    assert [c.title for c in mine("1.2")] == ["shop 1.10"]
    assert [c.title for c in mine("", "1.2")] == ["shop 1.2"]
    assert [c.title for c in mine("1.0.0", "1.2.0")] == ["shop 1.2"]
    with pytest.raises(InputError, match=r"no source release 1\.3"):
        mine("1.3")
    with pytest.raises(UsageError, match="not a version"):
        mine("one")
    with pytest.raises(InputError, match="fewer than two"):
        mine("1.2", "1.2")


def test_yanked_and_pre_releases_are_passed_over(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    release(index, tmp_path, "1.3", {"shop.py": "broken\n"}, yanked=True)
    release(index, tmp_path, "1.11rc1", {"shop.py": "x = 4\n"})
    assert [c.title for c in mine()] == ["shop 1.2", "shop 1.10"]
    assert [c.title for c in mine(pre=True)] == ["shop 1.2", "shop 1.10", "shop 1.11rc1"]
    assert [c.title for c in mine("1.10", "1.11rc1")] == ["shop 1.11rc1"]


def test_patches_lead_exactly_from_base_to_head(index: Index, tmp_path: Path) -> None:
    before = {
        "a.py": "x\n" * 9,
        "bin": b"\0\1\2",
        "l.txt": b"\xff\n",
        "tests/test_a.py": "1\n",
        ".gitattributes": "* -diff\n",
    }
    after = {
        "b.py": "x\n" * 9,
        "bin": b"\0\1\3",
        "l.txt": b"\xfe\n",
        "tests/test_a.py": "2\r\n",
        ".gitignore": "*\n",
        "e": "",
    }
    release(index, tmp_path, "1", before)
    release(index, tmp_path, "2", after)
    (change,) = mine()
    repo = Repo(tmp_path / "tree")
    base, head = repo.commit("base", {**PY, **before}), ""
    repo.git("rm", "-q", "-r", "--", ".")
    head = repo.commit("head", {**PY, **after})
    again = json.loads(encode(change))
    assert repo.applied(base, again["patch"], again["test_patch"]) == repo.tree(head)


def test_generated_metadata_and_the_change_log_stay_out_of_the_patch(index: Index, tmp_path: Path) -> None:
    stub = "[egg_info]\ntag_build = \ntag_date = 0\n\n"
    release(index, tmp_path, "1", {"a.py": "1\n", "CHANGELOG.rst": "1\n=\n\n- Start\n", "src/shop.egg-info/x": "1"})
    after = {"a.py": "2\n", "CHANGELOG.rst": "2\n=\n\n- Mend it\n\n1\n=\n\n- Start\n", "setup.cfg": stub}
    release(index, tmp_path, "2", after)
    (change,) = mine()
    assert change.files == ["a.py"]
    assert change.body == "2\n=\n\n- Mend it"
    assert "PKG-INFO" not in change.patch and "Mend" not in change.patch


def test_releases_that_differ_in_nothing_are_turned_away(index: Index, tmp_path: Path) -> None:
    release(index, tmp_path, "1", {"a.py": "1\n"})
    release(index, tmp_path, "2", {"a.py": "1\n"})
    release(index, tmp_path, "3", {"a.py": "2\n"})
    with pytest.raises(Rejected, match="nothing differs"):
        mine("1", "2")
    with pytest.raises(Rejected, match="no test changes"):
        mine("2", "3", with_tests=True)


def test_the_second_time_nothing_is_downloaded(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    once = [encode(change) for change in mine()]
    index.log.clear()
    assert [encode(change) for change in mine()] == once
    assert index.log == ["/shop/"]
    index.log.clear()
    assert [encode(change) for change in mine(offline=True)] == once
    assert index.log == []


@pytest.mark.slow
def test_the_kept_page_serves_when_the_index_does_not_answer(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(index, tmp_path)
    once = [encode(change) for change in mine()]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")  # the discard port: nobody listens
    pip_session.settings.cache_clear()
    warnings: list[str] = []
    assert [encode(change) for change in mine(warn=warnings.append)] == once
    assert len(warnings) == 1 and "does not answer" in warnings[0]
    with pytest.raises(KatError, match="does not answer"):
        list(pairs(["another"]))


def test_unknown_packages_and_packages_without_source(index: Index, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no index knows"):
        mine()
    wheel = tmp_path / "shop-1-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    index.add(wheel)
    (index.folder / "shop-1-py3-none").rename(index.folder / "shop")
    with pytest.raises(InputError, match="no source release"):
        mine()


def test_a_file_that_is_not_the_promised_one_is_a_dead_letter(index: Index, tmp_path: Path) -> None:
    release(index, tmp_path, "1", {"a.py": "1\n"})
    release(index, tmp_path, "2", {"a.py": "2\n"}, sha256="0" * 64)
    with pytest.raises(RecordError, match="promises sha256 000"):
        mine()
    assert not list((Path(os.environ["KAT_CACHE"]) / "src").glob("[0-9a-f]*0000"))


def test_an_index_that_tells_neither_hash_nor_time(index: Index, tmp_path: Path) -> None:
    first = release(index, tmp_path, "1", {"a.py": "1\n"}, sha256="")
    second = release(index, tmp_path, "2", {"a.py": "2\n"}, sha256="")
    (change,) = mine()
    assert (change.base_commit, change.head_commit) == (first, second)
    assert change.created_at == "2023-11-14T22:13:20Z"  # of the newest file in the archive


def test_the_base_of_a_release_can_be_checked_out(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    change = mine()[0]
    source = source_of(change)
    assert (source.kind, source.url, source.sha256) == ("sdist", "pkg:pypi/shop", change.base_commit)
    (Path(os.environ["KAT_CACHE"]) / "src" / change.base_commit).unlink()  # another machine
    checkout(source, tmp_path / "out")
    assert (tmp_path / "out" / "shop.py").read_text() == "x = 1\n"
    assert (tmp_path / "out" / "PKG-INFO").exists()  # a set-up needs it


def test_an_index_in_a_folder_and_find_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "links").mkdir()
    sdist(tmp_path / "links", "shop", "1", {"a.py": "1\n"})
    page = tmp_path / "simple" / "shop"
    page.mkdir(parents=True)
    sdist(page, "shop", "2", {"a.py": "2\n"})
    (page / "index.html").write_text('<a href="shop-2.tar.gz">shop-2.tar.gz</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    pip_session.settings.cache_clear()
    assert [c.title for c in mine()] == ["shop 2"]


@pytest.mark.slow
def test_credentials_of_an_index_are_used_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Index(tmp_path / "index")
    with served(made) as url:
        three(made, tmp_path)
        monkeypatch.setenv("PIP_INDEX_URL", url.replace("http://", "http://me:secret@"))
        pip_session.settings.cache_clear()
        assert len(mine()) == 2
    assert made.logins == {"Basic bWU6c2VjcmV0"}
    kept = [path.read_bytes() for path in Path(os.environ["KAT_CACHE"]).rglob("*.json")]
    assert kept and not any(b"secret" in data for data in kept)
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/")
    pip_session.settings.cache_clear()
    with pytest.raises(KatError) as error:
        list(pairs(["another"]))
    assert "secret" not in str(error.value)


def test_pips_configuration_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nindex-url = http://a.example/simple\nextra-index-url =\n    http://b.example\n    http://c.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    pip_session.settings.cache_clear()
    assert pip_session.settings().indexes == ("http://a.example/simple", "http://b.example", "http://c.example")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    pip_session.settings.cache_clear()
    assert pip_session.settings().indexes == ()


def test_the_command_as_a_process(index: Index, tmp_path: Path) -> None:
    three(index, tmp_path)
    command = ["kat-mine", "releases", "shop", "--from", "1.0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["title"] for line in done.stdout.splitlines()] == ["shop 1.2", "shop 1.10"]
    done = subprocess.run(
        ["kat-mine", "releases", "none"], capture_output=True, text=True, cwd=tmp_path, env=os.environ
    )
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "kat-mine: none: no index knows this package"


@pytest.mark.slow
def test_a_real_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own index. The facts are those of the published releases."""
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    pip_session.settings.cache_clear()
    try:
        items = list(pairs(["cachetools"], ReleasesOptions(first="5.3.3", last="5.5.2")))
    finally:
        pip_session.settings.cache_clear()
    changes = [change for item in items for change in Releases()(item)]
    assert [c.title for c in changes] == [f"cachetools {v}" for v in ("5.4.0", "5.5.0", "5.5.1", "5.5.2")]
    assert [bool(c.test_patch) for c in changes] == [True, True, False, True]
    assert {c.license for c in changes} == {"MIT"}
    assert changes[1].created_at.startswith("2024-08-18T20:28:44")


# --------------------------------------------------------------------------------- hostile archives


def tar_of(path: Path, *entries: tuple[str, bytes, str]) -> Path:
    """(name, type, link target) rows as a tar file."""
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"evil") if kind == tarfile.REGTYPE else None)
    return path


REG, SYM, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
HOSTILE: dict[str, list[tuple[str, bytes, str]]] = {
    "parent": [("a/../../evil", REG, "")],
    "parent in the middle": [("a/b/../c", REG, "")],
    "absolute": [("/tmp/evil", REG, ""), ("a/b", REG, "")],
    "absolute link": [("a/link", SYM, "/etc/passwd")],
    "link to the parent": [("a/link", SYM, "../../evil")],
    "link out of the top folder": [("a/link", SYM, "../evil")],
    "through a link": [("a/link", SYM, "sub"), ("a/link/evil", REG, "")],
    "device": [("a/dev", tarfile.CHRTYPE, "")],
    "pipe": [("a/pipe", tarfile.FIFOTYPE, "")],
    "hard link to nowhere": [("a/x", HARD, "/etc/passwd")],
    "file as folder": [("a/x", REG, ""), ("a/x/y", REG, "")],
    "two top folders": [("a/x", REG, ""), ("b/y", REG, "")],
    "no top folder": [("x", REG, "")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        members(tar_of(tmp_path / "evil.tar.gz", *HOSTILE[name]))


def test_archives_that_grow_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("a/x")
        entry.size = 1 << 20
        tar.addfile(entry, io.BytesIO(bytes(1 << 20)))
    with pytest.raises(InputError, match="larger than"):
        members(tmp_path / "bomb.tar.gz", max_bytes=1 << 19)


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    good = sdist(tmp_path, "shop", "1", {"a.py": "1\n" * 1000}).read_bytes()
    for name, data in {"cut": good[: len(good) // 2], "html": b"<html>", "empty": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            members(tmp_path / name)


def test_links_and_modes_inside_are_kept(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, mode in (("t/run", 0o755), ("t/sub/plain", 0o600)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = 1, mode
            tar.addfile(entry, io.BytesIO(b"x"))
        link = tarfile.TarInfo("t/sub/link")
        link.type, link.linkname = SYM, "../run"
        tar.addfile(link)
        hard = tarfile.TarInfo("t/hard")
        hard.type, hard.linkname, hard.mode = HARD, "t/run", 0o755
        tar.addfile(hard)
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/sub/link").resolve() == tmp_path / "out/run"
    assert (tmp_path / "out/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/sub/plain").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "out/hard").read_text() == "x"
