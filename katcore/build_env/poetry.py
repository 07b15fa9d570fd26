"""`[tool.poetry]` of a pyproject.toml, by poetry-core: carets, tildes, wildcards and unions as PEP 508 has them.

In: the table. Out: a `Manifest`. What no index has (git repositories, paths, URLs) and what poetry-core does not take
is left out, and `notes` says so. Poetry's `markers` are PEP 508 already and are not given to poetry-core, whose
algebra of markers takes time that grows exponentially with their length.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from poetry.core import __vendor_site__
from poetry.core.constraints.generic import parse_constraint as parse_words
from poetry.core.constraints.version import VersionUnion, parse_constraint
from poetry.core.factory import Factory
from poetry.core.packages.utils.utils import create_nested_marker
from poetry.core.version.helpers import format_python_constraint

from katcore.build_env.groups import groups_of, note
from katcore.build_env.manifest import LONGEST as LONGEST_LINE
from katcore.build_env.manifest import Manifest, pairs, strings, table

LONGEST = 200
"""The most characters of a constraint: real ones have less than half, and parsing time grows faster than length."""
ELSEWHERE = ("git", "path", "url", "file")

# poetry-core puts its own copies of packaging and others before everybody's, processes that this one starts included.
if __vendor_site__ in sys.path:
    sys.path.append(sys.path.pop(sys.path.index(__vendor_site__)))


def from_poetry(poetry: Mapping[str, Any]) -> Manifest:
    """The manifest from poetry's table: dependencies, groups, extras, entry points and layout."""
    out = Manifest(name=_text(poetry.get("name")), version=_text(poetry.get("version")), kinds=["poetry"])
    dependencies = table(poetry, "dependencies")
    out.requires_python = _python(dependencies.get("python"), out.notes)
    optional = {k: v for k, v in dependencies.items() if any(case.get("optional") for case in _cases(v))}
    out.dependencies = _lines({k: v for k, v in dependencies.items() if k not in optional}, out.notes)
    for extra, names in table(poetry, "extras").items():
        named = {canonicalize_name(name) for name in strings(names)}
        out.extras[extra] = _lines({k: v for k, v in optional.items() if canonicalize_name(k) in named}, out.notes)
    out.groups = _groups(poetry, out.notes)
    out.entry_points = {kind: pairs(points) for kind, points in table(poetry, "plugins").items()}
    if scripts := pairs(table(poetry, "scripts")):
        out.entry_points["console_scripts"] = scripts
    packages = poetry.get("packages")
    out.source_dirs = strings(
        [table(package).get("from") for package in packages] if isinstance(packages, list) else []
    )
    return out


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _groups(poetry: Mapping[str, Any], notes: list[str]) -> dict[str, list[str]]:
    """The groups with those that they include, and what an older table lists for developers."""
    raw: dict[str, list[str | dict[str, str]]] = {}
    for name, group in table(poetry, "group").items():
        included = [{"include-group": other} for other in strings(table(group).get("include-groups"))]
        raw[name] = [*_lines(table(group, "dependencies"), notes), *included]
    if older := _lines(table(poetry, "dev-dependencies"), notes):
        raw["dev"] = [*raw.get("dev", []), *older]
    return groups_of(raw, notes)


def _cases(wanted: Any) -> list[dict[str, Any]]:
    """A dependency's constraints, one for each case; a text is a version."""
    return [case if isinstance(case, dict) else {"version": case} for case in _listed(wanted)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _lines(dependencies: Mapping[str, Any], notes: list[str]) -> list[str]:
    """The dependencies as requirement lines of PEP 508, one for each constraint."""
    lines = []
    for name, wanted in dependencies.items():
        for case in _cases(wanted) if name.lower() != "python" else ():
            try:
                lines.append(_line(name, case))
            except (ValueError, RecursionError) as error:
                notes.append(note(name, error))
    return lines


def _line(name: str, case: Mapping[str, Any]) -> str:
    line = _base(name, case) + _marker(case)
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a requirement of {len(line)} characters")
    return str(Requirement(line))


def _base(name: str, case: Mapping[str, Any]) -> str:
    """Name, extras and versions; of alternatives that PEP 440 cannot write, the newest. ValueError."""
    if elsewhere := next((kind for kind in ELSEWHERE if kind in case), ""):
        raise ValueError(f"comes by {elsewhere}, not from an index")
    version = _short(case.get("version"))
    wanted = Factory.create_dependency(name, {"version": version, "extras": strings(case.get("extras"))})
    if isinstance(wanted.constraint, VersionUnion) and "||" in wanted.base_pep_508_name:
        wanted = wanted.with_constraint(wanted.constraint.ranges[-1])
    if wanted.constraint.is_empty():
        raise ValueError(f"no version is {version!r}")
    return wanted.base_pep_508_name


def _marker(case: Mapping[str, Any]) -> str:
    parts = [_text(case.get("markers")).strip()]
    if "python" in case:
        parts.append(create_nested_marker("python_version", parse_constraint(_short(case["python"]))))
    if "platform" in case:
        parts.append(create_nested_marker("sys_platform", parse_words(_short(case["platform"]))))
    return "".join(f" {'and' if at else ';'} ({part})" for at, part in enumerate(filter(None, parts)))


def _python(wanted: Any, notes: list[str]) -> str:
    """The wanted Python versions as a specifier of PEP 440; what cannot be written so goes to `notes`."""
    if wanted is None:
        return ""
    try:
        found = format_python_constraint(parse_constraint(_short(wanted)))
    except ValueError as error:
        notes.append(note("python", error))
        return ""
    return found.removeprefix("*")


def _short(value: object) -> str:
    """The constraint as text. ValueError when it is no string, or longer than a person writes."""
    if not isinstance(value, str):
        raise ValueError("has no version")
    if len(value) > LONGEST:
        raise ValueError(f"a constraint of {len(value)} characters")
    return value.strip() or "*"
