"""The lines of a patch by what they are."""

from __future__ import annotations

from katcore.build_env.patch_lines import Lines, lines_of, names_in

PATCH = """diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -9,3 +9,4 @@ def carts():
 kept
--- removed
+++ added
+caf\u00e9
diff --git a/docs/cart.py b/docs/cart.py
--- a/docs/cart.py
+++ b/docs/cart.py
@@ -1 +1 @@
-was
+is
diff --git a/NEWS.rst b/NEWS.rst
new file mode 100644
--- /dev/null
+++ b/NEWS.rst
@@ -0,0 +1 @@
+new
"""


def test_lines_are_sorted_by_side_and_file() -> None:
    lines = lines_of(PATCH)
    assert (lines.added, lines.removed) == (["++ added", "caf\u00e9"], ["-- removed"])
    assert lines.around == [" def carts():", "kept"]
    assert sorted(line.strip() for line in lines.documents) == ["", "", "is", "new", "was"]
    assert lines.files == {"cart.py"}


def test_what_is_no_patch_has_no_lines() -> None:
    assert lines_of("") == lines_of("a letter\n") == Lines()
    assert lines_of("diff --git a/x.py b/x.py\nBinary files differ\n") == Lines(files={"x.py"})


def test_names() -> None:
    assert names_in(["a_b.c(1, 'd')", "2x"]) == {"a_b", "c", "d"}
