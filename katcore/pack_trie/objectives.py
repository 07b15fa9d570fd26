"""The objectives by name."""

from __future__ import annotations

from katcore.pack_trie import em_sft, grpo, opd, sft
from katcore.pack_trie.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "sft": sft.OBJECTIVE,
    "em-sft": em_sft.OBJECTIVE,
    "grpo": grpo.OBJECTIVE,
    "opd": opd.OBJECTIVE,
}
