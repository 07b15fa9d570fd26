"""What documents name is there: files, links, and the places in the code that cite docs/method.md."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

from tests.support import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
USERS = {"kat.toml", "dataset.toml"}
"""Files of people, not ours."""
SOURCE = re.compile(r".*\.(?:py|md|toml|tsv|sh|in)")
CITED = re.compile(r"method\.md § (\d+(?:\.\d+)?(?:(?:,| and) \d+(?:\.\d+)?)*)")


@pytest.fixture(scope="module")
def files() -> list[PurePosixPath]:
    """The files of this tree: those that git knows, and new ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [PurePosixPath(name) for name in listed.splitlines() if (ROOT / name).exists()]


def named(text: str, top: set[str]) -> list[str]:
    """The paths in backquotes: what begins with a folder of ours, and what is called like a source file."""
    found = [word.rstrip("/").removeprefix("./") for word in re.findall(r"`([\w.][\w./-]*)`", text)]
    ours = [path for path in found if ("/" in path and path.split("/")[0] in top) or SOURCE.fullmatch(path)]
    placeholders = [path for path in ours if any(part.isupper() for part in path.split("/"))]
    return [path for path in ours if path not in placeholders and PurePosixPath(path).name not in USERS]


def missing(text: str, files: list[PurePosixPath]) -> list[str]:
    """The paths in a text that are neither at the top of the tree nor the end of a path in it."""
    known = {*files, *(folder for path in files for folder in path.parents)}
    ends = {"/".join(path.parts[start:]) for path in known for start in range(len(path.parts))}
    decisions = {f"docs/adr/{path.name[:4]}" for path in files if path.match("docs/adr/*.md")}
    top = {path.parts[0] for path in files}
    return [path for path in named(text, top) if path not in ends | decisions]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_are_there(document: Path, files: list[PurePosixPath]) -> None:
    assert missing(document.read_text("utf-8"), files) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_a_path_that_is_not_there_is_found(files: list[PurePosixPath]) -> None:
    text = "`katcore/loop.py` `katcore/loop/` `llm/retries.py` `retry.py` `tests/cli/COMMAND/CASE/` `a/b` `kat.toml`"
    assert missing(text, files) == ["katcore/loop.py", "retry.py"]


def test_the_head_of_the_makefile_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    head = " ".join(line for line in text.partition("\n\n")[0].splitlines() if line.startswith("# "))
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)) - {"help"}
    assert {target for target in targets if not re.search(rf"(?:make |, ){target}\b(?!-)", head)} == set()


def citations(files: list[PurePosixPath]) -> dict[str, list[str]]:
    """Section → the files that cite it; those of `katcore/` by their paths below it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in files:
        if path.suffix not in (".py", ".md") or path.name in ("method.md", "test_docs.py"):
            continue
        text = " ".join((ROOT / path).read_text("utf-8").split())
        for section in (section for cited in CITED.findall(text) for section in re.findall(r"[\d.]+", cited)):
            found[section].add(str(path).removeprefix("katcore/"))
    return {section: sorted(found[section]) for section in sorted(found, key=lambda name: [*map(int, name.split("."))])}


def test_method_lists_every_place_that_cites_it(files: list[PurePosixPath]) -> None:
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| ([\d.]+) \| (.*) \|$", text, re.MULTILINE))
    expected = {section: ", ".join(f"`{path}`" for path in paths) for section, paths in citations(files).items()}
    assert listed == expected, "\n".join(f"| {section} | {paths} |" for section, paths in expected.items())
    headings = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?) ", text, re.MULTILINE))
    assert listed.keys() <= headings
