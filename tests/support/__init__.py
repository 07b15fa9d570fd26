"""What tests share and is no test: inputs, fakes, checks that several of them make, programs that they start."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""This checkout; as PYTHONPATH, or as the folder of `python -m`, it gives a program these modules too."""
