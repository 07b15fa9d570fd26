"""Changes of real repositories: applied to the base, both patches give the head, byte for byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from katcore.errors import InputError, Rejected, UsageError
from katcore.mine import history
from katcore.mine.changes import Changes, Selection, commits, issues
from katcore.records import Change, encode
from katcore.source.diff import paths
from tests.support.repos import Repo


def mine(where: Path | str, with_tests: bool = False, **selection: str | bool) -> list[Change]:
    found: list[Change] = []
    for item in commits([str(where)], Selection(**{"range": "HEAD"} | selection)):  # type: ignore[arg-type]
        try:
            found += Changes(with_tests)(item)
        except Rejected:
            continue
    return found


def check_exact(repo: Repo, changes: list[Change]) -> None:
    """Every record survives JSON, and its patches lead from its base to its head."""
    for change in changes:
        again = json.loads(encode(change))
        assert again["patch"] == change.patch
        tree = repo.applied(again["base_commit"], again["patch"], again["test_patch"])
        assert tree == repo.tree(change.head_commit), f"{change.title}:\n{change.patch}\n{change.test_patch}"


# ------------------------------------------------------------------------------------------ exactness

LATIN = "gr\xfc\xdfe\n".encode("latin-1")
STATES: dict[str, tuple[dict[str, bytes | str | None], dict[str, bytes | str | None]]] = {
    "text": ({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}),
    "a file comes and one goes": ({"a.py": "x = 1\n"}, {"a.py": None, "b.py": "y = 1\n"}),
    "binary": ({"a.png": b"\x89PNG\0\1\2" * 50}, {"a.png": b"\x89PNG\0\1\3" * 50, "new.bin": bytes(range(256))}),
    "binary goes": ({"a.png": b"\x89PNG\0\1\2" * 50, "k": ""}, {"a.png": None}),
    "empty files": ({"a": "", "b": "b\n"}, {"a": None, "c": "", "b": ""}),
    "no newline at the end": ({"a.py": "x = 1"}, {"a.py": "x = 1\ny = 2"}),
    "newline added at the end": ({"a.py": "x = 1"}, {"a.py": "x = 1\n"}),
    "carriage returns": ({"a.txt": "a\r\nb\r\n", "b": "a\rb\rc\n"}, {"a.txt": "a\r\nc\r\nb\n", "b": "a\rB\rc\n"}),
    "latin-1": ({"a.c": LATIN * 3}, {"a.c": LATIN * 2 + b"int x;\n"}),
    "latin-1 beside utf-8": ({"a.c": LATIN, "b.c": "ü\n"}, {"a.c": b"\xff\n", "b.c": "ö\n"}),
    "latin-1 renamed": ({"a.c": LATIN * 30}, {"a.c": None, "b.c": LATIN * 30 + b"x\n"}),
    "a NUL far from the start": ({"a": "a\n" * 9000}, {"a": b"a\n" * 9000 + b"\0b\n"}),
    "utf-16": ({"a.txt": "hi\n".encode("utf-16")}, {"a.txt": "ho\n".encode("utf-16")}),
    "lone surrogate": ({"a.txt": b"\xed\xa0\x80 a\n"}, {"a.txt": b"\xed\xa0\x80 b\n"}),
    "name with a space": ({"a b.py": "x\n", "c d": ""}, {"a b.py": "y\n", "c d": "d\n", "e f": ""}),
    "name like a header": ({"x b/x b": "1\n", "a b/b": ""}, {"x b/x b": "2\n", "a b/b": "1\n"}),
    "name with newline, tab and quote": ({'a\n"b\t\\c': "x\n"}, {'a\n"b\t\\c': "y\n", "d\ne": ""}),
    "name beyond ASCII": ({"grüße.py": "x\n"}, {"grüße.py": "y\n", "日本": "z\n"}),
    "names that are not UTF-8": ({"k": ""}, {b"tests/d\xe9ta.txt": "1\n", b"caf\xe9.py": "x\n", b'"q': "y\n"}),  # type: ignore[dict-item]
    "rename": ({"a.py": "x\n" * 30}, {"a.py": None, "b.py": "x\n" * 30 + "y\n"}),
    "rename of a name with a space": ({"a b": "x\n" * 30}, {"a b": None, 'c "d"': "x\n" * 30}),
    "rename into the tests": ({"a.py": "x\n" * 30}, {"a.py": None, "tests/test_a.py": "x\n" * 30 + "y\n"}),
    "latin-1 renamed into the tests": ({"a.py": LATIN * 9}, {"a.py": None, "tests/a.py": LATIN * 9 + b"y\n"}),
    "renames in a ring": ({"a": "a\n" * 40, "b": "b\n" * 40}, {"a": "b\n" * 40, "b": "a\n" * 40}),
    "source renamed, its old name reused": (
        {"a.py": "x\n" * 40},
        {"a.py": LATIN, "tests/b.py": "x\n" * 40, "c.py": "x\n" * 40},
    ),
    "a file becomes a folder": ({"a": "x\n"}, {"a": None, "a/b": "x\n", "a/test_c.py": "y\n"}),
    "lines like git's": (
        {"p.diff": "a\n"},
        {"p.diff": "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-- a\n++ b\n"},
    ),
    "added line of two pluses": ({"a": "a\nb\n"}, {"a": "++ x\n-- y\n"}),
    "git's patch as content": ({"a": "x\n"}, {"a": "GIT binary patch\nliteral 0\nHcmV?d00001\n\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_patches_lead_exactly_from_base_to_head(name: str, folder: Path) -> None:
    before, after = STATES[name]
    repo = Repo(folder)
    repo.commit("before", before)
    for path in [path for path, content in after.items() if content is None]:
        repo.git("rm", "-q", "--", path)
    repo.commit("after", {path: content for path, content in after.items() if content is not None})
    changes = mine(folder)
    assert [change.title for change in changes] == ["after", "before"]
    check_exact(repo, changes)


def sides(folder: Path, *commits_: dict[str | bytes, bytes | str | None]) -> tuple[list[str], list[str], Change]:
    """The files of the source patch and of the test patch of the last of these commits."""
    repo = Repo(folder)
    for files in commits_:
        repo.commit("c", files)  # type: ignore[arg-type]
    change = mine(folder)[0]
    check_exact(repo, [change])
    return paths(change.patch), paths(change.test_patch), change


def test_a_file_in_a_folder_of_tests_is_theirs_whatever_its_name_is_written_in(folder: Path) -> None:
    source, tests, change = sides(folder, {b"tests/d\xe9ta.txt": "2\n", "mm.py": "x\n", b"caf\xe9.py": "y\n"})
    assert (source, tests) == (["caf\udce9.py", "mm.py"], ["tests/d\udce9ta.txt"])
    assert change.files == [r'"caf\351.py"', r'"tests/d\351ta.txt"', "mm.py"]
    assert change.languages["Python"] == 4


BASE = {"pkg/a.py": "x = 1\n", "README.md": "a\n", "tests/test_a.py": "pass\n"}
READS = {"pkg/a.py": "x = 2\n", "tests/test_a.py": "open('samples/in.csv')\nopen('pkg/data/own.json')\n"}


@pytest.mark.parametrize(
    "head, to_tests",
    [
        ({**READS, "samples/in.csv": "1,2\n"}, ["samples/in.csv"]),
        ({**READS, "in.csv": b"\0\1"}, ["in.csv"]),
        ({**READS, "samples/in.csv": "1,2\n", "README.md": "see samples/in.csv\n"}, ["samples/in.csv"]),
        ({**READS, "samples/other.csv": "1,2\n"}, []),
        ({**READS, "samples/main.csv": "1,2\n", "samples/win.csv": "1\n"}, []),
        ({**READS, "samples/in.csv": "1,2\n", "pkg/a.py": "open('in.csv')\n"}, []),
        ({**READS, "samples/in.csv": "1,2\n", "pyproject.toml": "package-data = ['in.csv']\n"}, []),
        ({**READS, "pkg/data/own.json": "{}\n"}, []),
        ({**READS, "README.md": "b\n", "tests/test_a.py": "open('README.md')\n"}, []),
        ({"samples/in.csv": "1,2\n", "tests/test_a.py": "open('samples/in.csv')\n"}, []),
        ({"pkg/b.py": "y = 1\n", "tests/test_a.py": "import pkg.b\nopen('b.py')\n"}, []),
        ({"pkg/a.py": "x = 2\n", "Makefile2": "a\n", "tests/test_a.py": "open('Makefile2')\n"}, []),
    ],
)
def test_new_data_that_only_the_tests_name_is_theirs(
    head: dict[str | bytes, bytes | str | None], to_tests: list[str], folder: Path
) -> None:
    source, tests, _ = sides(folder, BASE, head)  # type: ignore[arg-type]
    assert tests == sorted([*to_tests, "tests/test_a.py"])
    assert source == sorted(str(name) for name in head if name not in tests)


def test_a_rename_into_the_tests_leaves_the_sources_by_the_source_patch(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a.py": "x\n" * 30})
    repo.commit("two", {"a.py": None, "tests/test_a.py": "x\n" * 30})
    change = mine(folder)[0]
    assert "deleted file mode" in change.patch and "tests/" not in change.patch
    assert "new file mode" in change.test_patch and "a/a.py" not in change.test_patch


def test_modes_links_submodules_and_type_changes(folder: Path) -> None:
    repo = Repo(folder)
    repo.write("run.sh", "#!/bin/sh\necho hi\n")
    repo.write("plain", "x\n" * 20)
    (folder / "link").symlink_to("plain")
    repo.commit("one")
    repo.write("run.sh", "#!/bin/sh\necho hi\n", 0o755)
    (folder / "link").unlink()
    repo.write("link", "now a file\n")
    (folder / "plain").unlink()
    (folder / "plain").symlink_to("run.sh")
    (folder / "to-nowhere").symlink_to("missing\nline")
    repo.commit("two")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    repo.git("commit", "-q", "-m", "a submodule")
    repo.git("update-index", "--cacheinfo", f"160000,{'2' * 40},vendor/lib")
    repo.git("commit", "-q", "-m", "a newer submodule")
    changes = mine(folder)
    assert len(changes) == 4
    check_exact(repo, changes)


def test_a_name_that_is_not_utf8(folder: Path) -> None:
    repo = Repo(folder)
    repo.write(b"caf\xe9.py", "x = 1\n")
    repo.commit("one")
    repo.write(b"caf\xe9.py", LATIN)
    repo.commit("two")
    changes = mine(folder)
    assert changes[0].files == [r'"caf\351.py"']
    check_exact(repo, changes)


def test_a_latin1_function_name_outside_the_change_does_not_make_it_binary(folder: Path) -> None:
    repo = Repo(folder)
    body = "def gr\xfc\xdfe():\n".encode("latin-1") + b"    pass\n" * 9
    repo.commit("one", {"a.py": body})
    repo.commit("two", {"a.py": body + b"    x = 1\n"})
    changes = mine(folder)
    assert "+    x = 1" in changes[0].patch and "GIT binary patch" not in changes[0].patch
    check_exact(repo, changes)


@pytest.mark.slow
def test_random_histories(folder: Path) -> None:
    random_ = random.Random(1)
    repo = Repo(folder)
    names = ["a.py", "b c.txt", "tests/test_a.py", "data.bin", "docs/ü.md", "src/x/y.js", "x.spec.ts", "link"]
    pieces = [b"line\n", b"  other\n", b"\xff\xfe\n", b"\0", "ü\n".encode(), b"\r\n", b"no newline", b"+ sign\n", b""]
    for number in range(40):
        for name in random_.sample(names, random_.randint(1, 4)):
            action = random_.random()
            path = folder / name
            if action < 0.2 and path.is_file() and not path.is_symlink():
                repo.git("rm", "-q", "--", name)
            elif action < 0.3 and path.is_file() and not path.is_symlink():
                target = random_.choice(names) + ".moved"
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                path.rename(folder / target)
            elif name == "link":
                path.unlink(missing_ok=True)
                path.symlink_to(random_.choice(["a.py", "nowhere"]))
            else:
                text = b"".join(random_.choices(pieces, k=random_.randint(0, 12)))
                old = path.read_bytes() if path.is_file() else b""
                repo.write(name, old + text if random_.random() < 0.5 else text, random_.choice([0o644, 0o755]))
        repo.commit(f"{number}\n\nbody \1\n\1\n")
    changes = mine(folder)
    assert len(changes) > 30
    check_exact(repo, changes)


def test_the_users_and_the_repositorys_configuration_change_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a.py": "x\n" * 20, "b.txt": "a\n", "ü.py": "1\n"})
    repo.commit("two", {"a.py": None, "b.py": "x\n" * 20, "b.txt": "a\r\nb\n", "ü.py": "2\n"})
    plain = [encode(change) for change in mine(folder)]
    settings = {
        "diff.renames": "false", "diff.noprefix": "true", "diff.external": "/bin/false", "color.ui": "always",
        "diff.algorithm": "patience", "core.quotePath": "false", "diff.submodule": "log", "log.date": "iso",
        "log.showSignature": "true", "diff.context": "9", "core.autocrlf": "true", "diff.mnemonicPrefix": "true",
        "format.pretty": "oneline", "diff.orderFile": "/nonexistent",
    }  # fmt: skip
    text = "".join(
        f"[{key.partition('.')[0]}]\n\t{key.partition('.')[2]} = {value}\n" for key, value in settings.items()
    )
    (tmp_path / ".gitconfig").write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    (folder / ".git" / "config").write_text((folder / ".git" / "config").read_text() + text)
    (folder / ".git" / "info" / "attributes").write_text("*.py binary\n*.txt diff=foo text\n")
    (folder / ".gitattributes").write_text("* -diff\n")
    assert [encode(change) for change in mine(folder)] == plain


# ------------------------------------------------------------------------------------ which commits


def branchy(folder: Path) -> Repo:
    """main: one, merge, last; side: side; the merge resolves a conflict of its own."""
    repo = Repo(folder)
    repo.commit("one", {"a.py": "1\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("side", {"b.py": "b\n"})
    repo.git("checkout", "-q", "main")
    repo.commit("two", {"a.py": "2\n"})
    repo.minutes += 1
    repo.git("merge", "-q", "--no-ff", "--no-commit", "side")
    repo.commit("merge", {"c.py": "resolved\n"})
    return repo


def test_a_merge_is_one_change_against_its_first_parent(folder: Path) -> None:
    repo = branchy(folder)
    changes = mine(folder)
    assert sorted(change.title for change in changes) == ["merge", "one", "side", "two"]
    merge = next(change for change in changes if change.title == "merge")
    assert merge.files == ["b.py", "c.py"]
    assert merge.base_commit == repo.git("rev-parse", "HEAD^1").decode().strip()
    check_exact(repo, changes)


def test_first_parent_follows_the_main_line(folder: Path) -> None:
    branchy(folder)
    assert [change.title for change in mine(folder, first_parent=True)] == ["merge", "two", "one"]


def test_the_root_commit_starts_from_the_empty_tree(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a.py": "1\n"})
    (change,) = mine(folder)
    assert change.base_commit == repo.git("hash-object", "-t", "tree", "/dev/null").decode().strip()


def test_range_and_times(folder: Path) -> None:
    repo = Repo(folder)
    ids = [repo.commit(f"c{n}", {"a": f"{n}\n"}) for n in range(5)]
    repo.git("tag", "v1", ids[1])
    assert [change.title for change in mine(folder, range="v1..HEAD~1")] == ["c3", "c2"]
    assert [change.title for change in mine(folder, range="HEAD ^v1")] == ["c4", "c3", "c2"]
    assert len(mine(folder, since="2023-11-14")) == 5
    assert len(mine(folder, until="2023-11-14")) == 5
    assert len(mine(folder, until="2023-11-13")) == 0
    assert [change.title for change in mine(folder, since="2023-11-14T22:17:00Z")] == ["c4", "c3"]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 2, 7, 32])
def test_order_and_content_do_not_depend_on_how_the_work_is_shared(
    processes: int, chunk: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(folder)
    for number in range(20):  # messages that look like the marks between records
        repo.commit(f"c{number}\n\n\1\n\1\ndiff --git a/x b/x\n", {"a": f"{number}\n"} if number % 5 else None)
    monkeypatch.setattr(history, "PROCESSES", processes)
    monkeypatch.setattr(history, "CHUNK", chunk)
    assert [change.title for change in mine(folder)] == [f"c{n}" for n in range(19, -1, -1) if n % 5]


def test_commits_without_a_difference_are_turned_away(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a": "1\n"})
    repo.commit("nothing")
    item = next(commits([str(folder)]))
    with pytest.raises(Rejected, match="nothing differs"):
        list(Changes()(item))


def test_with_tests_turns_the_others_away(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("source", {"a.py": "1\n"})
    repo.commit("both", {"a.py": "2\n", "tests/test_a.py": "assert True\n"})
    assert [change.title for change in mine(folder, with_tests=True)] == ["both"]


def test_the_oldest_commits_of_a_shallow_history_are_turned_away(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    for number in range(5):
        repo.commit(f"c{number}", {"a": f"{number}\n"})
    subprocess.run(["git", "clone", "-q", "--depth=3", f"file://{folder}", str(tmp_path / "cut")], check=True)
    items = list(commits([str(tmp_path / "cut")]))
    assert len(items) == 3
    assert [change.title for change in mine(tmp_path / "cut")] == ["c4", "c3"]
    with pytest.raises(Rejected, match="shallow"):
        list(Changes()(items[2]))


# --------------------------------------------------------------------------------------- the record


def test_source_and_test_patch_are_apart(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"README.md": "hi\n"})
    repo.commit("two", {"shop/cart.py": "x = 1\n", "tests/test_cart.py": "assert 1\n", "tests/data/a.json": "{}\n"})
    change = mine(folder)[0]
    assert "shop/cart.py" in change.patch and "tests/" not in change.patch
    assert "tests/test_cart.py" in change.test_patch and "tests/data/a.json" in change.test_patch
    assert change.files == ["shop/cart.py", "tests/data/a.json", "tests/test_cart.py"]
    assert change.languages == {"JSON": 3, "Python": 15}
    assert change.labels.language == "Python"


def test_message_time_and_issues(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("Mend the cart\n\nIt lost items. Fixes #12, see #13.\n\nCloses: #14\n", {"a": "1\n"})
    (change,) = mine(folder)
    assert change.title == "Mend the cart"
    assert change.body == "It lost items. Fixes #12, see #13.\n\nCloses: #14"
    assert change.created_at == "2023-11-14T22:14:20Z"
    assert [issue.number for issue in change.issues] == [12, 14]


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("fix #1", [1]), ("Fixed: #2", [2]), ("resolves owner/name#3", [3]), ("fixes other/repo#4", []),
        ("closes https://forge.example/owner/name/issues/5", [5]), ("prefixes #6", []), ("see #7", []),
        ("fixes #8 and fixes #8", [8]), ("fix the #9 bug", []),
    ],
)  # fmt: skip
def test_issues_that_a_message_closes(message: str, numbers: list[int]) -> None:
    assert [issue.number for issue in issues(message, "owner/name")] == numbers


def test_a_message_in_another_encoding_and_without_text(folder: Path) -> None:
    repo = Repo(folder)
    repo.write("a", "1\n")
    repo.git("add", "-A")
    repo.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-F", "-", data="gr\xfc\xdfe".encode("latin-1"))
    repo.commit("", {"a": "2\n"})
    assert [change.title for change in mine(folder)] == ["", "grüße"]


def test_broken_clocks(folder: Path) -> None:
    repo = Repo(folder)
    tree = repo.git("write-tree").decode().strip()
    for time in ("99999999999999999", "253402300800"):
        raw = f"tree {tree}\nauthor A <a> {time} +0000\ncommitter C <c> {time} +9999\n\nlate\n".encode()
        late = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", data=raw).decode().strip()
        repo.git("update-ref", "refs/heads/main", late)
        repo.git("reset", "-q", "--hard")
        repo.commit("next", {"a": time})
        assert {item.payload.commit.head for item in commits([str(folder)])} >= {late}


def test_license_of_the_head(folder: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"pyproject.toml": '[project]\nname = "shop"\nlicense = "MIT"\n'})
    assert mine(folder)[0].license == "MIT"


def test_ids_depend_on_content_alone(folder: Path, tmp_path: Path) -> None:
    repo = Repo(folder)
    repo.commit("one", {"a": "1\n"})
    repo.git("remote", "add", "origin", "https://forge.example/owner/shop.git")
    subprocess.run(["git", "clone", "-q", "--bare", str(folder), str(tmp_path / "other.git")], check=True)
    git = ["git", f"--git-dir={tmp_path / 'other.git'}"]
    subprocess.run([*git, "config", "remote.origin.url", "https://forge.example/owner/shop"], check=True)
    assert mine(folder)[0].id == mine(tmp_path / "other.git")[0].id


def test_sha256_repositories(folder: Path) -> None:
    repo = Repo(folder, "--object-format=sha256")
    repo.commit("one", {"a": LATIN})
    repo.commit("two", {"a": "2\n"})
    changes = mine(folder)
    assert len(changes[0].head_commit) == 64
    check_exact(repo, changes)


# -------------------------------------------------------------------------------------- what is wrong


def test_not_a_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"):
        list(commits([str(tmp_path)]))
    with pytest.raises(InputError, match="neither a folder nor a URL"):
        list(commits([str(tmp_path / "missing")]))


def test_a_repository_without_commits(folder: Path) -> None:
    Repo(folder)
    with pytest.raises(InputError, match="no commits"):
        list(commits([str(folder)]))


@pytest.mark.parametrize("revisions", ["v9", "HEAD..v9", "--all", "-n1"])
def test_bad_revisions(revisions: str, folder: Path) -> None:
    Repo(folder).commit("one", {"a": "1\n"})
    with pytest.raises(UsageError):
        list(commits([str(folder)], Selection(range=revisions)))


def test_a_missing_blob_is_an_error_and_not_a_shorter_stream(folder: Path) -> None:
    repo = Repo(folder)
    for number in range(3):
        repo.commit(f"c{number}", {"a": f"{number}\n"})
    blob = repo.git("rev-parse", "HEAD~1:a").decode().strip()
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Exception, match="unable to read"):
        list(commits([str(folder)]))


def test_git_ends_when_the_reader_leaves(folder: Path) -> None:
    repo = Repo(folder)
    for number in range(3):
        repo.commit(f"c{number}", {"a": f"{number}\n"})
    stream = commits([str(folder)])
    next(stream)
    before = _children()
    stream.close()
    assert len(_children()) < len(before)


def _children() -> list[str]:
    done = subprocess.run(["ps", "-o", "comm=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line.startswith("git")]


def test_the_environment_of_a_hook_does_not_lead_astray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Repo(folder).commit("one", {"a": "1\n"})
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_WORK_TREE", "/nonexistent")
    assert len(mine(folder)) == 1
