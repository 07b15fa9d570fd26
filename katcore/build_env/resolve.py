"""From requirement sets to locked environments, the most fitting first.

In: a recipe and the change's date. Out: `Resolution`s, one after the other until the caller is content. What the index
says was uploaded after the date does not exist, where the index tells; the project itself is never in a lock, because a
newer copy of it would hold the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from katcore.build_env.recipe import Recipe
from katcore.environment import pip
from katcore.errors import RecordError


@dataclass(frozen=True)
class Resolution:
    """Exact pins with hashes; `cap` is the date that limited them, empty when none could."""

    lock: tuple[str, ...]
    cap: str
    requirements: tuple[str, ...]


class Unresolved(Exception):
    """No requirement set can be met; the message says why, one reason per attempt."""


def resolutions(recipe: Recipe, before: str) -> Iterator[Resolution]:
    """Each requirement set with the date, then each without. Raises Unresolved when none worked at all."""
    seen: set[tuple[str, ...]] = set()
    failures: list[str] = []
    trouble: RecordError | None = None
    for cap in (before, ""):
        for wanted in recipe.requirements:
            try:
                lock = lock_of(pip.resolve(wanted, cap), recipe.name)
            except pip.Unsatisfiable as error:
                failures.append(f"{'until ' + cap if cap else 'any date'}: {error}")
                continue
            except RecordError as error:
                trouble = error
                continue
            if lock not in seen:
                seen.add(lock)
                yield Resolution(lock, cap, wanted)
    if not seen and trouble is not None:
        raise trouble
    if not seen:
        raise Unresolved("; ".join(failures))


def lock_of(report: pip.Report, own: str) -> tuple[str, ...]:
    """The lock of a report: `name==version --hash=sha256:…` for each package, sorted, without the project itself."""
    lines = []
    for entry in report:
        name, version = canonicalize_name(entry["metadata"]["name"]), entry["metadata"]["version"]
        sha256 = entry["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if sha256 is None:
            raise pip.Unsatisfiable(f"{name} has no hash to pin it by")
        if name != canonicalize_name(own or "-"):
            lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    return tuple(sorted(lines))
