"""The objectives by name."""

from __future__ import annotations

from katcore.pack_trie import em_sft, grpo, gspo, opd, rft, sft, tst
from katcore.pack_trie.objective import PackObjective

OBJECTIVES: dict[str, PackObjective] = {
    "sft": sft.OBJECTIVE,
    "em-sft": em_sft.OBJECTIVE,
    "tst": tst.OBJECTIVE,
    "rft": rft.OBJECTIVE,
    "grpo": grpo.OBJECTIVE,
    "gspo": gspo.OBJECTIVE,
    "opd": opd.OBJECTIVE,
}
