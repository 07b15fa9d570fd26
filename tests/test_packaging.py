"""What reaches a user: the wheel has every package, data file, page and completion, and `make install` places them."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = {"katcli": ROOT / "cli", "katcore": ROOT / "katcore", "katkernels": ROOT / "kernels"}
PROGRAMS = ("kat-build-env", "kat-distill", "kat-mine", "kat-pack-trie", "kat-rollout", "kat-train", "kat-verify")
PLACES = {
    "share/man/man1": ("man", "{}.1"),
    "share/bash-completion/completions": ("completions", "{}.bash"),
    "share/zsh/site-functions": ("completions", "_{}"),
    "share/fish/vendor_completions.d": ("completions", "{}.fish"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy of the tree, with the build backend of this environment: no network."""
    tree, out = tmp_path_factory.mktemp("copy") / "kat", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "out", "build", "*.egg-info", "__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, tree]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("kat_toolchain-*.whl")
    return zipfile.ZipFile(made)


def sources(folder: Path) -> set[str]:
    """Every file of a package's folder, but what Python leaves there."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_has_every_module_and_data_file(wheel: zipfile.ZipFile, package: str) -> None:
    names = {name.removeprefix(f"{package}/") for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert names == sources(PACKAGES[package])


@pytest.mark.slow
def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.partition("/")[0].rpartition(".")[2] for name in wheel.namelist()}
    assert top == {*PACKAGES, "data", "dist-info"}


@pytest.mark.slow
def test_the_wheel_says_what_it_is_called_and_under_which_license(wheel: zipfile.ZipFile) -> None:
    """`kat` is somebody else's on the index."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    head = wheel.read(name).decode().partition("\n\n")[0].splitlines()
    assert {"Name: kat-toolchain", "License-Expression: Apache-2.0", "License-File: LICENSE"} <= set(head)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_the_wheel_has_pages_and_completions_where_a_system_looks(wheel: zipfile.ZipFile, place: str) -> None:
    folder, name = PLACES[place]
    found = {n.rpartition("/")[2]: wheel.read(n) for n in wheel.namelist() if f".data/data/{place}/" in n}
    assert found == {name.format(p): (ROOT / folder / name.format(p)).read_bytes() for p in PROGRAMS}


@pytest.mark.slow
def test_every_command_is_an_entry_point(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    points = configparser.ConfigParser()
    points.read_string(wheel.read(name).decode())
    expected = {p: f"katcli.{p.removeprefix('kat-').replace('-', '_')}:main" for p in (*PROGRAMS, "kat-complete")}
    assert dict(points["console_scripts"]) == expected


@pytest.mark.slow
def test_the_wheel_works_without_its_tree(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import katcli.rollout as command; "
        "print(command.__file__, file=sys.stderr); command.main()"
    )
    # -P: neither the current folder nor this checkout; the extracted tree wins over an editable installation
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, tmp_path / "site", "scaffolds"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stderr and "bash-loop" in done.stdout


def test_make_install_puts_pages_and_completions_where_a_system_looks(tmp_path: Path) -> None:
    for prefix in ("/usr", "/opt/kat"):
        make = ["make", "--silent", "install", f"PREFIX={prefix}", f"DESTDIR={tmp_path}"]
        subprocess.run(make, cwd=ROOT, check=True, capture_output=True)
        for place, (folder, name) in PLACES.items():
            # bash-completion finds both `kat-mine` and `kat-mine.bash`; make takes the usual one
            installed = "{}" if "bash-completion" in place else name
            found = {path.name: path.read_bytes() for path in (tmp_path / prefix[1:] / place).iterdir()}
            assert found == {installed.format(p): (ROOT / folder / name.format(p)).read_bytes() for p in PROGRAMS}
