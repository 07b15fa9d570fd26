"""The answer in what an agent sees: found where it lies, and not where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.environment.scan import leaks, telling
from katcore.sandbox import ENV, Mount, Spec, sandbox

PATCH = """\
diff --git a/pouch/keys.py b/pouch/keys.py
--- a/pouch/keys.py
+++ b/pouch/keys.py
@@ -1,3 +1,6 @@
 import os
-def key(*args): return args
+import functools
+def key(*args, **kwargs):
+    return make_sorted_key(args, sorted(kwargs.items()))
+    # kwargs come last
+def make_sorted_key(args, pairs): return (*args, *sum(pairs, ()))
 def unrelated(): pass
"""
FIXED = """import os
import functools
def key(*args, **kwargs):
    return make_sorted_key(args, sorted(kwargs.items()))
def make_sorted_key(args, pairs): return (*args, *sum(pairs, ()))
"""


def environment(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def seen(folder: Path, kind: str = "bubblewrap", version: str = "1.4", patch: str = PATCH) -> list[dict[str, object]]:
    repo = folder / "repo"
    repo.mkdir(exist_ok=True)
    (repo / "keys.py").write_text(FIXED)  # what the repository holds is its own affair
    box = sandbox(kind).create(Spec("scan", repo=repo, mounts=(Mount(folder / "env", ENV),)))
    try:
        return leaks(box, patch, "Pouch_Of.Keys", version)
    finally:
        box.close()


def test_lines_that_tell() -> None:
    assert telling(PATCH) == [
        "def make_sorted_key(args, pairs): return (*args, *sum(pairs, ()))",
        "return make_sorted_key(args, sorted(kwargs.items()))",
        "def key(*args, **kwargs):",
    ]
    assert telling("") == []


def test_a_line_is_a_line_whatever_it_holds() -> None:
    head = "--- a/k.py\n+++ b/k.py\n@@ -1,2 +1,2 @@\n"
    shown = "-old_name = compute(first, second)\f- third\n+++ counter_of(every, single) + 1\n"
    shown += " context of_it all\f+ more of it\n"
    assert telling(head + shown) == ["++ counter_of(every, single) + 1"]


@pytest.mark.parametrize("kind", ["bubblewrap", pytest.param("docker", marks=pytest.mark.slow)])
def test_a_copy_and_a_newer_release_are_found(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "docker":
        request.getfixturevalue("engine")
    info = "lib/pouch_of_keys-1.5.0.dist-info/METADATA"
    environment(tmp_path / "env", **{"lib__other__vendored.py": FIXED, "lib__calm.py": "x = 1\n", info: "Name: x\n"})
    assert seen(tmp_path, kind) == [
        {"path": f"{ENV}/lib/other/vendored.py", "lines": 3, "of": 3},
        {"path": f"{ENV}/lib/pouch_of_keys-1.5.0.dist-info", "version": "1.5.0"},
    ]


def test_the_base_version_and_one_line_in_common_are_no_leak(tmp_path: Path) -> None:
    info = "lib/pouch_of_keys-1.4.dist-info/METADATA"
    environment(tmp_path / "env", **{"lib__keys.py": "def key(*args, **kwargs):\n    pass\n", info: "Name: x\n"})
    assert seen(tmp_path) == []
    assert seen(tmp_path, version="") != [], "a base of no version: any release may be newer"


def test_half_of_two_lines_that_any_file_has_is_no_leak(tmp_path: Path) -> None:
    short = "--- a/keys.py\n+++ b/keys.py\n@@ -1 +1,3 @@\n-return all(map(equal, zip_longest(*many)))\n"
    short += "+    return all(map(all_equal, zip(*iterables, strict=True)))\n+except ValueError:\n+    x\n"
    files = {"lib__any.py": "try:\n    f()\nexcept ValueError:\n    pass\n"}
    environment(tmp_path / "env", **files)
    assert seen(tmp_path, patch=short) == []
    environment(tmp_path / "env", **{"lib__it.py": "return all(map(all_equal, zip(*iterables, strict=True)))\n"})
    assert seen(tmp_path, patch=short) == [{"path": f"{ENV}/lib/it.py", "lines": 1, "of": 2}]


def test_a_patch_file_is_found_by_its_name(tmp_path: Path) -> None:
    environment(tmp_path / "env", **{"share__fix.diff": PATCH})
    assert seen(tmp_path) == [{"path": f"{ENV}/share/fix.diff", "lines": 3, "of": 3}]
