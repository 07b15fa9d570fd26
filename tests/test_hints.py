"""Whatever tells somebody to `pip install` something names what is there: our extras, or a package that we mean."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from katcore.errors import EXTRAS, extra_hint, not_installed
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS, EXTRA_NAMES = PROJECT["name"], set(PROJECT["optional-dependencies"])
OTHERS = {
    "docker", "flash-attn-4", "harbor", "liger-kernel", "ray", "sglang", "sglang-router", "swebench", "torch", "triton",
}  # fmt: skip
"""Other people's distributions that our texts name, each looked at once."""
PLACES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "docs/*.md", "docs/*.md.in", "docs/adr/*.md"),
    *("man/*", "scripts/*", "scripts/*/install", "reproduce/**/*", "benchmarks/**/*.py", "benchmarks/**/*.md"),
    *("katcore/**/*.py", "katcore/**/*.toml", "cli/**/*.py", "kernels/**/*.py"),
)
NOT_OURS = {"katcore/build_env/hints.py", "katcore/dataset/harbor_export.py", "katcore/errors.py"}
"""Read other projects' texts, write a container's recipe, and make the hint that `test_one_function…` looks at."""
COMMAND = re.compile(r"""\bpip3?["']?\s+install\b(?=(?P<rest>[^\n`|;&]*))""")
WORD = re.compile(r"""\s+(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s'"]+))""")
WITH_VALUE = {"-c", "-r", "--target", "--requirement", "--index-url", "-w"}


def requirements(text: str) -> Iterator[str]:
    """What the `pip install` lines of a text ask for: up to a comma, a comment, or what no requirement looks like."""
    for found in COMMAND.finditer(text):
        skip = False
        for word in WORD.finditer(found["rest"]):
            value = word["single"] or word["double"] or (word["bare"] or "").rstrip(",")
            if skip or (value.startswith("-") and value != "-"):
                skip = value in WITH_VALUE
            elif not re.match(r"[A-Za-z0-9.$]", value):
                break
            elif not value.startswith("$"):
                yield value
            if (word["bare"] or "").endswith(",") or found["rest"][word.end() :].startswith((",", '"', "'")):
                break


def wrong(requirement: str) -> str:
    """Why a requirement is none of ours; empty where it is."""
    found = re.fullmatch(r"([A-Za-z0-9._-]*)(?:\[([^\]]*)\])?(?:\s*@\s*git\+https://\S+|\s*[<>=!~].*)?", requirement)
    if found is None:
        return f"{requirement} is no requirement"
    name, extras = found[1], set(filter(None, re.split(r"\s*,\s*", found[2] or "")))
    if name in (".", OURS):
        return f"{requirement}: no extra {', '.join(sorted(extras - EXTRA_NAMES))}" if extras - EXTRA_NAMES else ""
    return "" if name in OTHERS and not extras else f"{requirement} is neither {OURS} nor a package that we mean"


def texts() -> Iterator[tuple[str, str]]:
    for path in sorted({path for place in PLACES for path in ROOT.glob(place) if path.is_file()}):
        name = path.relative_to(ROOT).as_posix()
        if name not in NOT_OURS:
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_every_hint_names_what_there_is() -> None:
    found = [(name, requirement) for name, text in texts() for requirement in requirements(text)]
    assert len(found) > 8, "the texts are read"
    assert {".[train,deepspeed,dev]", ".[train]", "sglang>=0.5.23", "ray>=2.40"} <= {
        requirement for _, requirement in found
    }
    assert not [f"{name}: {problem}" for name, requirement in found if (problem := wrong(requirement))]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("hint=\"pip install 'kat[train]'\"", "neither"),
        ("pip install kat", "neither"),
        ("    pip install -e '.[sglang]'   # nothing", "no extra sglang"),
        ("pip install 'kat-toolchain[train,nope] @ git+https://example.org/kat.git'", "no extra nope"),
        ("`pip3 install --quiet leftpad`", "neither"),
        ("$(BIN)/pip install -c constraints/cpu.txt torch==2.13.0 leftpad", "neither"),
        ('{"a": "pip install triton, or not", "b": "pip install leftpad"}', "neither"),
        ("$(BIN)/pip install --quiet --target $(RAY) 'leftpad>=2.40'", "neither"),
        ('"$folder/bin/pip" install --no-deps leftpad', "neither"),
    ],
)
def test_a_wrong_hint_is_found(text: str, problem: str) -> None:
    problems = [why for requirement in requirements(text) if (why := wrong(requirement))]
    assert len(problems) == bool(problem) and problem in "".join(problems)


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("pip install triton, or take chunked", ["triton"]),
        ("pip install --pre flash-attn-4, on Linux with a Hopper GPU", ["flash-attn-4"]),
        ("`pip install` lines only", []),
        ("a/bin/pip install 'sglang>=0.5.23' 'sglang-router>=0.3'", ["sglang>=0.5.23", "sglang-router>=0.3"]),
        (f"hint: {extra_hint('ray')}", [".[ray]"]),
    ],
)
def test_what_is_read_of_a_line(text: str, wanted: list[str]) -> None:
    assert list(requirements(text)) == wanted


def test_one_function_makes_the_hints_for_extras() -> None:
    assert set(EXTRAS.values()) <= EXTRA_NAMES
    brought = " ".join(line for extra in set(EXTRAS.values()) for line in PROJECT["optional-dependencies"][extra])
    for package, extra in EXTRAS.items():
        assert package.lower() in brought.lower()
        assert not [why for each in requirements(extra_hint(extra)) if (why := wrong(each))]
        assert not_installed(package).code == 2 and not_installed(package).hint == extra_hint(extra)


def test_code_asks_for_extras_that_there_are() -> None:
    asked = [
        (path.name, node.func.id, ast.literal_eval(node.args[0]))
        for folder in ("katcore", "cli", "kernels") for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and path.name != "errors.py"
        and node.func.id in ("extra_hint", "not_installed") and isinstance(node.args[0], ast.Constant)
    ]  # fmt: skip
    assert len(asked) >= 3
    for where, function, name in asked:
        assert name in (EXTRA_NAMES if function == "extra_hint" else EXTRAS), where


def test_sglang_is_no_extra() -> None:
    """It pins its own torch and transformers: an extra could not be installed beside `train`."""
    assert not [line for lines in PROJECT["optional-dependencies"].values() for line in lines if "sglang" in line]
