"""What a Python project says about itself, read without running any of it.

In: a folder. Out: `Manifest`. Read in the order in which tools believe them: pyproject.toml (PEP 621 and 735, poetry,
flit, pdm, hatch, uv), setup.cfg, setup.py (its syntax tree), and the metadata that a source release carries for what
is computed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


@dataclass
class Manifest:
    """Name, version, requirements and layout; empty where the project says nothing."""

    name: str = ""
    version: str = ""
    requires_python: str = ""
    dependencies: list[str] = field(default_factory=list)
    extras: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    build_requires: list[str] = field(default_factory=list)
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    source_dirs: list[str] = field(default_factory=list)
    version_files: list[str] = field(default_factory=list)
    extensions: bool = False
    kinds: list[str] = field(default_factory=list)

    def absorb(self, other: Manifest) -> None:
        """Take from `other`, which is believed less, what is still unknown."""
        for name in ("name", "version", "requires_python"):
            if not getattr(self, name):
                setattr(self, name, getattr(other, name))
        if not self.dependencies:
            self.dependencies = other.dependencies
        if not self.build_requires:
            self.build_requires = other.build_requires
        for mine, theirs in ((self.extras, other.extras), (self.groups, other.groups)):
            for key, value in theirs.items():
                mine.setdefault(key, value)
        for group, entries in other.entry_points.items():
            self.entry_points.setdefault(group, entries)
        self.source_dirs += [folder for folder in other.source_dirs if folder not in self.source_dirs]
        self.version_files += other.version_files
        self.extensions = self.extensions or other.extensions
        self.kinds += other.kinds


def text_of(path: Path) -> str:
    """A small text file inside the repository, or nothing; links are not followed."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
        return ""
    return path.read_text("utf-8", errors="replace")


def toml_of(path: Path) -> dict[str, Any]:
    """A TOML file, or nothing when it is none."""
    try:
        return tomllib.loads(text_of(path))
    except tomllib.TOMLDecodeError:
        return {}


def table(data: Any, *keys: str) -> dict[str, Any]:
    """The table below `keys`, empty when something else lies there."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def strings(value: Any) -> list[str]:
    """The strings of a list, or none."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def requirements(lines: Iterable[str]) -> list[str]:
    """The lines that are valid requirements from an index, as they are; URLs and paths cannot be pinned by hash."""
    out = []
    for line in lines:
        try:
            parsed = Requirement(line.strip())
        except InvalidRequirement:
            continue
        if parsed.url is None:
            out.append(str(parsed))
    return out


def name_of(requirement: str) -> str:
    """The normalised name of a requirement."""
    return canonicalize_name(Requirement(requirement).name)


def version_in(source: str) -> str:
    """The value of a literal `__version__ = "…"` or `version = "…"`."""
    found = re.search(r"^(?:__version__|VERSION|version)\s*(?::[^=\n]+)?=\s*['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    return found.group(1) if found else ""


def from_pyproject(folder: Path) -> Manifest:
    """pyproject.toml, whatever tool it was written for."""
    data = toml_of(folder / "pyproject.toml")
    out = Manifest(build_requires=requirements(strings(table(data, "build-system").get("requires"))))
    if project := table(data, "project"):
        out.absorb(_pep621(project))
    if poetry := table(data, "tool", "poetry"):
        out.absorb(_poetry(poetry))
    if flit := table(data, "tool", "flit", "metadata"):
        out.absorb(_flit(flit))
    out.groups |= {k: v for k, v in _groups(table(data, "dependency-groups")).items() if k not in out.groups}
    for name, lines in table(data, "tool", "pdm", "dev-dependencies").items():
        out.groups.setdefault(name, requirements(strings(lines)))
    for name, env in table(data, "tool", "hatch", "envs").items():
        lines = strings(table(env).get("dependencies")) + strings(table(env).get("extra-dependencies"))
        out.groups.setdefault("test" if name in ("hatch-test", "default") else name, requirements(lines))
    if uv := requirements(strings(table(data, "tool", "uv").get("dev-dependencies"))):
        out.groups.setdefault("dev", uv)
    _layout(out, data)
    out.version = out.version or _version(folder, data)
    return out


def _pep621(project: Mapping[str, Any]) -> Manifest:
    entry_points = {k: _pairs(v) for k, v in table(project, "entry-points").items()}
    if scripts := _pairs(table(project, "scripts")):
        entry_points["console_scripts"] = scripts
    return Manifest(
        name=str(project.get("name", "")),
        version=str(project.get("version", "")),
        requires_python=str(project.get("requires-python", "")),
        dependencies=requirements(strings(project.get("dependencies"))),
        extras={k: requirements(strings(v)) for k, v in table(project, "optional-dependencies").items()},
        entry_points=entry_points,
        kinds=["pep621"],
    )


def _pairs(value: Any) -> dict[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def _groups(raw: Mapping[str, Any]) -> dict[str, list[str]]:
    """PEP 735: a group may include another one."""

    def expand(name: str, above: tuple[str, ...]) -> list[str]:
        items = raw.get(name)
        lines: list[str] = []
        for item in items if isinstance(items, list) and name not in above else []:
            if isinstance(item, str):
                lines.append(item)
            elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
                lines += expand(item["include-group"], (*above, name))
        return lines

    return {name: requirements(expand(name, ())) for name in raw}


def _poetry(poetry: Mapping[str, Any]) -> Manifest:
    dependencies = table(poetry, "dependencies")
    groups = {name: _poetry_lines(table(group, "dependencies")) for name, group in table(poetry, "group").items()}
    if dev := _poetry_lines(table(poetry, "dev-dependencies")):
        groups["dev"] = dev
    optional = {k: v for k, v in dependencies.items() if isinstance(v, dict) and v.get("optional")}
    extras = {
        extra: _poetry_lines({name: optional[name] for name in strings(names) if name in optional})
        for extra, names in table(poetry, "extras").items()
    }
    points = {k: _pairs(v) for k, v in table(poetry, "plugins").items()}
    if scripts := _pairs(table(poetry, "scripts")):
        points["console_scripts"] = scripts
    packages = poetry.get("packages")
    return Manifest(
        name=str(poetry.get("name", "")),
        version=str(poetry.get("version", "")),
        requires_python=_poetry_range(str(dependencies.get("python", ""))),
        dependencies=_poetry_lines({k: v for k, v in dependencies.items() if k != "python" and k not in optional}),
        extras=extras,
        groups=groups,
        entry_points=points,
        source_dirs=[p["from"] for p in packages if isinstance(p, dict) and isinstance(p.get("from"), str)]
        if isinstance(packages, list)
        else [],
        kinds=["poetry"],
    )


def _poetry_lines(dependencies: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, wanted in dependencies.items():
        wanted = wanted[0] if isinstance(wanted, list) and wanted else wanted
        entry = wanted if isinstance(wanted, dict) else {"version": wanted}
        if not isinstance(entry.get("version"), str):
            continue  # a path, a URL or a git repository
        extras = f"[{','.join(strings(entry.get('extras')))}]" if entry.get("extras") else ""
        marker = f"; {entry['markers']}" if isinstance(entry.get("markers"), str) else ""
        lines.append(f"{name}{extras}{_poetry_range(entry['version'])}{marker}")
    return requirements(lines)


def _poetry_range(text: str) -> str:
    """Poetry's carets, tildes and wildcards as PEP 440 specifiers; of alternatives (`||`) the last."""
    parts = [part.strip() for part in text.split("||")[-1].replace(" ", ",").split(",")]
    return ",".join(filter(None, (_poetry_part(part) for part in parts)))


def _poetry_part(part: str) -> str:
    if part in ("", "*"):
        return ""
    if part[0] not in "^~" or part.startswith("~="):
        return part if part[0] in "<>=!~" else f"=={part}"
    numbers = [int(n) for n in re.findall(r"\d+", part.split("-")[0])[:3]]
    if not numbers:
        return ""
    if part[0] == "~":
        at = min(1, len(numbers) - 1)
    else:
        at = next((i for i, n in enumerate(numbers) if n), len(numbers) - 1)
    upper = [*numbers[:at], numbers[at] + 1]
    return f">={part[1:].strip()},<{'.'.join(map(str, upper))}"


def _flit(flit: Mapping[str, Any]) -> Manifest:
    return Manifest(
        name=str(flit.get("dist-name", flit.get("module", ""))),
        requires_python=str(flit.get("requires-python", "")),
        dependencies=requirements(strings(flit.get("requires"))),
        extras={k: requirements(strings(v)) for k, v in table(flit, "requires-extra").items()},
        kinds=["flit"],
    )


def _layout(out: Manifest, data: Mapping[str, Any]) -> None:
    setuptools = table(data, "tool", "setuptools")
    out.source_dirs += strings(table(setuptools, "packages", "find").get("where"))
    if isinstance(root := table(setuptools, "package-dir").get(""), str):
        out.source_dirs.append(root)
    out.extensions = out.extensions or bool(setuptools.get("ext-modules"))
    scm = table(data, "tool", "setuptools_scm")
    hook = table(data, "tool", "hatch", "build", "hooks", "vcs")
    for path in (scm.get("write_to"), scm.get("version_file"), hook.get("version-file")):
        if isinstance(path, str):
            out.version_files.append(path)


def _version(folder: Path, data: Mapping[str, Any]) -> str:
    """A version that a tool would look up: setuptools' `attr`, hatch's `path`, flit's module."""
    dynamic = table(data, "tool", "setuptools", "dynamic", "version")
    if isinstance(dynamic.get("attr"), str):
        return attr_version(folder, dynamic["attr"])
    if isinstance(dynamic.get("file"), str):
        return text_of(folder / dynamic["file"]).strip()
    if isinstance(path := table(data, "tool", "hatch", "version").get("path"), str):
        return version_in(text_of(folder / path))
    name = table(data, "tool", "flit", "module").get("name") or table(data, "project").get("name")
    name = table(data, "tool", "flit", "metadata").get("module") or name
    return attr_version(folder, f"{str(name).replace('-', '_')}.__version__") if name else ""


def attr_version(folder: Path, attr: str) -> str:
    """The literal that `package.module.__version__` names, looked up in the file."""
    module = attr.rpartition(".")[0].replace(".", "/")
    for root in ("", "src/", "lib/"):
        for path in (f"{root}{module}/__init__.py", f"{root}{module}.py"):
            if found := version_in(text_of(folder / path)):
                return found
    return ""
