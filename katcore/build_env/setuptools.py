"""setup.cfg, setup.py and the metadata of source releases, read without running anything.

In: a folder. Out: `Manifest`s. From setup.py only literals are known: those in the call of `setup()`, and those that
the module assigns to the names used there.
"""

from __future__ import annotations

import ast
import configparser
from email.parser import HeaderParser
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

from katcore.build_env.manifest import Manifest, attr_version, requirements, strings, text_of, version_in

LONGEST = 20_000
"""The most items or characters of a sum: a file that doubles one forty times would fill any memory."""


def ini_of(path: Path) -> configparser.ConfigParser:
    """An INI file, empty when it is not one."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text_of(path))
    except configparser.Error:
        return configparser.ConfigParser(interpolation=None)
    return parser


def lines_of(value: str | None) -> list[str]:
    """The entries of a multi-line value, without comments."""
    return [line.split(" #")[0].strip() for line in (value or "").splitlines() if line.strip()[:1] not in ("", "#")]


def from_setup_cfg(folder: Path) -> Manifest:
    """The manifest from `[metadata]` and `[options]` of setup.cfg."""
    ini = ini_of(folder / "setup.cfg")
    if not ini.has_section("metadata") and not ini.has_section("options"):
        return Manifest()

    def get(section: str, key: str) -> str:
        return ini.get(section, key, fallback="") or ""

    version = get("metadata", "version").strip()
    if version.startswith("attr:"):
        version = attr_version(folder, version.removeprefix("attr:").strip())
    elif version.startswith("file:"):
        version = text_of(folder / version.removeprefix("file:").strip()).strip()
    extras = dict(ini.items("options.extras_require")) if ini.has_section("options.extras_require") else {}
    points = dict(ini.items("options.entry_points")) if ini.has_section("options.entry_points") else {}
    groups = {"test": tests} if (tests := requirements(lines_of(get("options", "tests_require")))) else {}
    root = [_after_equals(line) for line in lines_of(get("options", "package_dir")) if line.startswith("=")]
    return Manifest(
        name=get("metadata", "name").strip(),
        version=version,
        requires_python=get("options", "python_requires").strip(),
        dependencies=requirements(lines_of(get("options", "install_requires"))),
        extras={k: requirements(lines_of(v)) for k, v in extras.items()},
        groups=groups,
        entry_points={k: _points(lines_of(v)) for k, v in points.items()},
        source_dirs=[*root, *lines_of(get("options.packages.find", "where"))],
        kinds=["setup.cfg"],
    )


def _after_equals(line: str) -> str:
    return line.partition("=")[2].strip()


def _points(lines: list[str]) -> dict[str, str]:
    return {line.partition("=")[0].strip(): _after_equals(line) for line in lines if "=" in line}


def from_setup_py(folder: Path) -> Manifest:
    """The manifest from the literal arguments of the call of `setup()` in setup.py."""
    source = text_of(folder / "setup.py")
    try:
        return _from_tree(ast.parse(source), source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # MemoryError: the parser's stack is full
        return Manifest()


def _from_tree(tree: ast.Module, source: str) -> Manifest:
    known = _assigned(tree)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) == "setup"]
    if not calls:
        return Manifest()
    given = {k.arg: _literal(k.value, known) for k in calls[-1].keywords if k.arg}
    arguments = {**(known.get("**") or {}), **given}
    extras = arguments.get("extras_require")
    version = arguments.get("version")
    package_dir = arguments.get("package_dir")
    tests = requirements(_lines(arguments.get("tests_require")))
    return Manifest(
        name=_word(arguments.get("name")),
        version=version if isinstance(version, str) else version_in(source),
        requires_python=_word(arguments.get("python_requires")),
        dependencies=requirements(_lines(arguments.get("install_requires"))),
        extras={str(k): requirements(_lines(v)) for k, v in extras.items()} if isinstance(extras, dict) else {},
        groups={"test": tests} if tests else {},
        build_requires=requirements(_lines(arguments.get("setup_requires"))),
        entry_points=_entry_points(arguments.get("entry_points")),
        source_dirs=[package_dir[""]] if isinstance(package_dir, dict) and isinstance(package_dir.get(""), str) else [],
        extensions="ext_modules" in arguments or "cffi_modules" in arguments,
        kinds=["setup.py"],
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _assigned(tree: ast.Module) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _literal(node.value, known)
            if value is not None:
                known[node.targets[0].id] = value
    return known


def _literal(node: ast.expr, known: dict[str, Any]) -> Any:
    """The value of a literal, of a known name, or of lists and dicts and sums of them; None where it is computed."""
    match node:
        case ast.Name(id=name):
            return known.get(name)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [value for item in items if (value := _literal(item, known)) is not None]
        case ast.Dict(keys=keys, values=values):
            pairs = [(_literal(k, known), _literal(v, known)) for k, v in zip(keys, values, strict=True) if k]
            return {k: v for k, v in pairs if isinstance(k, str)}
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            a, b = _literal(left, known), _literal(right, known)
            if type(a) is type(b) and isinstance(a, list | str):
                return a + b if len(a) + len(b) <= LONGEST else a
            return a if b is None else b
        case ast.Constant(value=value):
            return value
    return None


def _lines(value: Any) -> list[str]:
    return lines_of(value) if isinstance(value, str) else strings(value)


def _entry_points(value: Any) -> dict[str, dict[str, str]]:
    if isinstance(value, str):
        parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(value)
        except configparser.Error:
            return {}
        return {section: dict(parser.items(section)) for section in parser.sections()}
    if not isinstance(value, dict):
        return {}
    return {str(k): _points(_lines(v)) for k, v in value.items()}


def from_release(folder: Path) -> Manifest:
    """The manifest from PKG-INFO and egg-info of a source release, which are right where setup.py computes values."""
    header = HeaderParser().parsestr(text_of(folder / "PKG-INFO"))
    out = Manifest(
        name=str(header.get("Name", "")),
        version=str(header.get("Version", "")),
        requires_python=str(header.get("Requires-Python", "")),
        kinds=["PKG-INFO"] if header.get("Name") else [],
    )
    lines = [str(line) for line in header.get_all("Requires-Dist", [])]
    for info in sorted([*folder.glob("*.egg-info"), *folder.glob("src/*.egg-info")]):
        if not lines and info.is_dir() and text_of(info / "requires.txt"):
            lines = PathDistribution(info).requires or []
        if not out.entry_points:
            out.entry_points = _entry_points(text_of(info / "entry_points.txt"))
    for line in requirements(lines):
        _sort(out, line)
    return out


def _sort(out: Manifest, line: str) -> None:
    """Add a requirement to the manifest; one with `extra == "…"` in its marker belongs to that extra."""
    text, _, marker = line.partition(";")
    extra = marker.partition("extra ==")[2].strip(" \"')")
    if extra:
        rest = marker.partition("extra ==")[0].strip().removesuffix("and").strip(" ()")
        out.extras.setdefault(extra, []).append(f"{text.strip()}; {rest}" if rest else text.strip())
    else:
        out.dependencies.append(line)
