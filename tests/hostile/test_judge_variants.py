"""Full marks asked for in many tongues and writings, of judges that always obey (`benchmarks/judge_injection.py`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.judge_injection import KINDS, ROOT, VARIANTS, WORTH, measure, reward


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "patient"])
@pytest.mark.parametrize("said", VARIANTS.values(), ids=VARIANTS)
def test_none_is_moved_by_what_stands_in_one_piece(kind: str, said: str) -> None:
    assert reward(kind, said, guarded=True) <= WORTH


def test_the_table_is_what_is_measured() -> None:
    """What moves a judge that obeys even the marked view is told, and so is what works without guards."""
    found, kept = measure(), json.loads((ROOT / "benchmarks/results/judge_injection.json").read_text())
    assert found == {name: value for name, value in kept.items() if name not in ("benchmark", "kat")}
    assert found["variants"] >= 26 and 0 < found["moved"]["patient"] < found["moved_without_guards"]["patient"]
