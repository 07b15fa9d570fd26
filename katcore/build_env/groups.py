"""Groups of dependencies that include each other, by PEP 735's own resolver.

In: the table as it was read. Out: requirements by group. A line that is no requirement is left out of its group, and so
is a group that is not there; a group that cannot be resolved (a circle) is left out whole. Notes say so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from katcore.build_env.manifest import requirements

MOST = 10_000
"""The most lines of all groups: a few that each include the next one twice would fill any memory."""
LONGEST = 200
"""The most characters of a note."""


def groups_of(raw: Mapping[str, Sequence[Any]], notes: list[str]) -> dict[str, list[str]]:
    """The requirement lines of each dependency group, by its name as written; problems are added to `notes`."""
    from dependency_groups import DependencyGroupResolver

    given = _readable(raw, notes)
    resolver = DependencyGroupResolver(given)
    out: dict[str, list[str]] = {}
    left, sizes = MOST, dict[str, int]()
    for name in given:
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


def _readable(raw: Mapping[str, Sequence[Any]], notes: list[str]) -> dict[str, Sequence[Any]]:
    """The table without what the resolver refuses it for: the first group of a name, and its items that can be read."""
    first: dict[str, str] = {}
    for name in raw:
        if first.setdefault(canonicalize_name(name), name) != name:
            notes.append(note(f"group {name}", ValueError(f"{first[canonicalize_name(name)]} has that name already")))
    out: dict[str, Sequence[Any]] = {}
    for name in first.values():
        out[name] = raw[name]
        if not isinstance(raw[name], list):
            continue  # the resolver says what it is
        faults = [_fault(item, first) for item in raw[name]]
        out[name] = [item for item, fault in zip(raw[name], faults) if fault is None]
        if wrong := [fault for fault in faults if fault is not None]:
            more = f" ({len(wrong) - 1} more)" if wrong[1:] else ""
            notes.append(note(f"group {name}{more}", wrong[0]))
    return out


def _fault(item: Any, groups: Collection[str]) -> Exception | None:
    """What is wrong with an item of a group, None where it is a requirement or another group that is there."""
    if isinstance(item, dict) and item.keys() == {"include-group"} and isinstance(item["include-group"], str):
        other = canonicalize_name(item["include-group"])
        return None if other in groups else LookupError(f"there is no group {other}")
    if not isinstance(item, str):
        return TypeError(f"{item!r} is neither a requirement nor a group")
    try:
        Requirement(item)
    except (InvalidRequirement, RecursionError) as error:
        return error
    return None


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
