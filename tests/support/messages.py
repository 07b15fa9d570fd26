"""A change to a shop's carts, with any message."""

from __future__ import annotations

from katcore.records import Change, ChangeSource

SOURCE = """diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -1,4 +1,15 @@ class Cart:
 _CARTS = []
 MOST = 9
 def cart_of(user):
-    return _CARTS[0]
+    found = lookup_by_owner(user)
+    return found or _fresh_cart(user, limit=MOST)
+
+def merge_carts(carts):
+    assert isinstance(carts, list)  # merge_carts([cart_of("ann")])
+    return carts
+
+def lookup_by_owner(user):
+    if not user.strip():
+        raise CartError("a cart has a user")
+    return next((cart for cart in _CARTS if cart.owner is user), None)
"""
TESTS = """diff --git a/tests/test_cart.py b/tests/test_cart.py
--- /dev/null
+++ b/tests/test_cart.py
@@ -0,0 +1,4 @@
+from shop.cart import cart_of, merge_carts
+def test_users_keep_their_carts_apart():
+    assert cart_of("ann") is not cart_of("bob")
+    assert merge_carts([cart_of("ann")])
"""


def change(message: str, source: str = SOURCE, tests: str = TESTS) -> Change:
    """A change with this message, which is split as kat-mine does."""
    title, _, body = message.strip("\n").partition("\n")
    return Change(
        id="c", repo="ann/shop", base_commit="0" * 40, head_commit="1" * 40, created_at="2025-01-01T00:00:00Z",
        title=title.strip(), body=body.strip("\n"), patch=source, test_patch=tests, source=ChangeSource(kind="commit"),
    )  # fmt: skip
