"""Groups of dependencies that include each other, by PEP 735's own resolver.

In: the table as it was read. Out: requirements by group; a group that cannot be resolved (a circle, a group that is
not there, a line that is no requirement) is left out, and a note says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name

from katcore.build_env.manifest import requirements

MOST = 10_000
"""The most lines of all groups: a few that each include the next one twice would fill any memory."""
LONGEST = 200
"""The most characters of a note."""


def groups_of(raw: Mapping[str, Sequence[Any]], notes: list[str]) -> dict[str, list[str]]:
    """The requirement lines of each dependency group, by its name as written; problems are added to `notes`."""
    from dependency_groups import DependencyGroupResolver

    try:
        resolver = DependencyGroupResolver(raw)
    except (TypeError, ValueError) as error:  # two names that are one once they are normalised
        notes.append(note("dependency-groups", error))
        return {}
    out: dict[str, list[str]] = {}
    left, sizes = MOST, dict[str, int]()
    for name in raw:
        try:
            size = _size(resolver, name, sizes)
            if size > left:
                raise ValueError(f"more than {MOST} lines with what is included")
            out[name] = requirements(map(str, resolver.resolve(name)))
            left -= size
        except (TypeError, ValueError, LookupError) as error:
            notes.append(note(f"group {name}", error))
            sizes.clear()
        except RecursionError as error:
            notes.append(note(f"group {name[:50]} and those after it", error))
            break
    return out


def note(what: str, error: Exception) -> str:
    """One line on what was left out and why."""
    reason = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(f"{what[:80]}: {reason}".split())[:LONGEST]


def _size(resolver: Any, group: str, sizes: dict[str, int]) -> int:
    """How many lines a group has with all that it includes."""
    from dependency_groups import DependencyGroupInclude

    name = canonicalize_name(group)
    if name not in sizes:
        sizes[name] = 0  # in a circle, which is the resolver's to report
        included = [item for item in resolver.lookup(name) if isinstance(item, DependencyGroupInclude)]
        own = len(resolver.lookup(name)) - len(included)
        sizes[name] = own + sum(_size(resolver, item.include_group, sizes) for item in included)
    return sizes[name]
