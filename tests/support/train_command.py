"""kat-train as a process, and the metrics that it writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


def kat_train(*args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kat-train", *map(str, args)], capture_output=True, text=True, timeout=120, **kwargs)


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
