"""Which benchmark a row is of, by the names of the file and folders that it was read from.

In: what the row itself says (an adapter's `to_task`), the format, the path. Out: `kat.task`'s `benchmark`, null where
nobody says a name. Only names that the field knows are looked for, and only near the file: a folder may be called
anything. Nothing is guessed from the format alone, because many data sets share one.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from katcore.records import Benchmark

_SWE_BENCH = (
    "swe-bench", "swe-bench-verified", "swe-bench-lite", "swe-bench-multilingual", "swe-bench-multimodal",
    "swe-bench-extra", "swe-bench-live", "swe-bench-pro", "swe-gym", "swe-polybench",
)  # fmt: skip
NAMES: dict[str, tuple[str, ...]] = {
    "swe-bench": _SWE_BENCH,
    "swe-smith": ("swe-smith",),
    "swe-rebench": ("swe-rebench", "swe-rebench-leaderboard"),
    "multi-swe": ("multi-swe-bench", "multi-swe-bench-mini", "multi-swe-bench-flash", "multi-swe-rl"),
    "livecodebench": ("livecodebench",),
    "functions": ("humaneval", "humanevalplus", "mbpp", "mbppplus"),
    "ifeval": ("ifeval", "ifbench"),
}
"""What a path may name, for each format."""
NAMES["harbor"] = ("terminal-bench", "terminal-bench-core", *(name for names in NAMES.values() for name in names))
SHORT = {
    "swe-bench": {name: f"swe-bench-{name}" for name in ("verified", "lite", "multilingual", "multimodal")},
}
"""What a file or folder is called that names no more than the variant."""
NEAR = 3
"""Folders above a file that may name what it is of; those farther off are the user's own."""
_LAYOUT = re.compile(r"data|snapshots|[0-9a-f]{40}")
"""Folders that the Hugging Face hub puts between a data set's name and its files."""
SPLITS = ("train", "dev", "validation", "test")
_VERSION = r"(?:@(?P<at>[\w.]+)|[-_ ](?:release[-_ ])?(?P<version>v\d+(?:\.\d+)*|\d{1,2}(?:[.-]\d{1,2})*))?"
_SPLIT = re.compile(rf"(?:^|[-_. ])({'|'.join(SPLITS)})(?:-\d+-of-\d+)?$")


class Told(NamedTuple):
    """What a path says."""

    name: str | None = None
    version: str | None = None
    split: str | None = None


def benchmark_of(kind: str, own: Benchmark | None, path: Path | None) -> Benchmark | None:
    """The row's benchmark: `own` is what the row says of it, which wins where it says more than the path."""
    told = Told() if path is None else told_by_path(kind, path)
    name = told.name
    if own is not None and own.name.startswith(name or ""):
        name = own.name
    if name is None:
        return None
    row = own or Benchmark(name=name)
    return Benchmark(name=name, version=row.version or told.version, split=row.split or told.split)


@cache
def told_by_path(kind: str, path: Path) -> Told:
    """The nearest name, of the file before its folders, and the split that stands there or nearer to the file.

    A Harbor task's own folder is the task's name, and no more.
    """
    if kind == "harbor" and (told := _manifest(path.parent)).name:
        return told
    folders = [part for part in reversed(path.parts[:-1]) if not _LAYOUT.fullmatch(part)][:NEAR]
    parts = folders if kind == "harbor" else [path.stem, *folders]
    named = next((i for i, part in enumerate(parts) if told_by_name(kind, part).name), None)
    if named is None:  # the row may still say a name, and the file what part of it this is
        return Told(split=None if kind == "harbor" else _split(path.stem))
    split = next(filter(None, map(_split, parts[: named + 1])), None)
    return told_by_name(kind, parts[named])._replace(split=split)


@cache
def told_by_name(kind: str, text: str) -> Told:
    """Name and version in the name of a file or folder, or in what a row calls its data set."""
    text = text.lower()
    if name := SHORT.get(kind, {}).get(text):
        return Told(name)
    for name in sorted(NAMES[kind], key=len, reverse=True):
        spelled = name.replace("-", "[-_ ]?")
        found = re.search(rf"(?<![a-z0-9])(?<![a-z0-9]-){spelled}{_VERSION}(?![a-z0-9])(?!{_other_word()})", text)
        if found:
            version = found["at"] or found["version"]
            return Told(name, version if version is None else version.replace("-", "."))
    return Told()


def _split(text: str) -> str | None:
    """The split that the name of a file or folder ends with."""
    found = _SPLIT.search(text.lower())
    return found[1] if found else None


def _other_word() -> str:
    """A word that makes another name of it; a split does not."""
    return rf"[-_ ](?!(?:{'|'.join(SPLITS)})\b)[a-z]"


@cache
def _manifest(folder: Path) -> Told:
    """What Harbor's `dataset.toml` beside the tasks says; nothing where it is damaged, as the tasks may be whole."""
    try:
        dataset = tomllib.loads((folder / "dataset.toml").read_text(encoding="utf-8")).get("dataset")
    except (OSError, ValueError, RecursionError):
        return Told()
    name, version = (dataset.get("name"), dataset.get("version")) if isinstance(dataset, dict) else (None, None)
    if not isinstance(name, str):
        return Told()
    known = told_by_name("harbor", short := name.rpartition("/")[2])
    said = isinstance(version, str | int | float) and version != ""
    return Told(known.name or short.lower(), str(version) if said else known.version)
