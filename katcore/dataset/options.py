"""The formats of other people's datasets, by name, as options take them; `formats.FORMATS` has one entry for each."""

from typing import Literal

DatasetName = Literal[
    "swe-bench", "swe-smith", "swe-rebench", "multi-swe", "harbor", "livecodebench", "functions", "ifeval"
]
