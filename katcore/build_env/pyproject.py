"""pyproject.toml as the tools read it: PEP 621, PEP 735's groups, poetry, flit, pdm, hatch, uv, setuptools.

In: a folder. Out: a `Manifest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from katcore.build_env.groups import groups_of
from katcore.build_env.manifest import (
    Manifest,
    attr_version,
    pairs,
    requirements,
    strings,
    table,
    text_of,
    toml_of,
    version_in,
)


def from_pyproject(folder: Path) -> Manifest:
    """The manifest from pyproject.toml, whatever tool it was written for."""
    data = toml_of(folder / "pyproject.toml")
    out = Manifest(build_requires=requirements(strings(table(data, "build-system").get("requires"))))
    if project := table(data, "project"):
        out.absorb(_pep621(project))
    if poetry := table(data, "tool", "poetry"):
        from katcore.build_env.poetry import from_poetry

        out.absorb(from_poetry(poetry))
    if flit := table(data, "tool", "flit", "metadata"):
        out.absorb(_flit(flit))
    for name, lines in groups_of(table(data, "dependency-groups"), out.notes).items():
        out.groups.setdefault(name, lines)
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
    entry_points = {k: pairs(v) for k, v in table(project, "entry-points").items()}
    if scripts := pairs(table(project, "scripts")):
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
    """The version, looked up as the tool would: setuptools' `attr`, hatch's `path`, flit's module; else empty."""
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
