from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.gateway.server import Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "journal") as running:
        yield running
