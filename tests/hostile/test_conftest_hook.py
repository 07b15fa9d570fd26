"""A conftest.py that rewrites outcomes."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import HOOK, Attack, patch

pytestmark = pytest.mark.slow


def test_conftest_hook(attack: Attack) -> None:
    hook = patch({"tests/conftest.py": HOOK})
    attack.dropped(hook, "tests/conftest.py")
    attack.works(hook, "files", "tests", "control")
    assert attack.unguarded(hook, "files", "tests").reward == 0.0, "the control alone finds it"
