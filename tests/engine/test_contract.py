"""The embedded engine keeps the contract of engines."""

from __future__ import annotations

import pytest

from tests.support.engine_contract import CONTRACT, Bench, run


@pytest.mark.parametrize("name", CONTRACT)
def test_the_embedded_engine(embedded_bench: Bench, name: str) -> None:
    assert run(embedded_bench, name)
