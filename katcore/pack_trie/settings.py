"""The options of packing, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PackSettings:
    """What to train on and how to lay it out."""

    objective: str
    budget: int = 32768
    """Unique tokens of a row; a larger tree gets a row of its own, or is cut."""
    cut: Literal["none", "repeat"] = "none"
    """Whether a tree above the budget is cut into packs of whole paths, which repeat what they share."""
    ranks: int = 1
    """Rows are laid out so that so many ranks get about equal work, and written from the largest to the smallest."""
    groups_per_step: int = 16
    """Kept groups of one optimiser step, over which its denominators are counted; 0: the whole input is one step."""
    shared_tokens: Literal["sample", "path"] = "sample"
    """`sample`: each sampled token counts once per trajectory that drew it; `path`: once per root-to-leaf path."""
    min_reward: float = 1.0
    """Supervised objectives take attempts with at least this reward."""
    top: int = 0
    """The best attempts of a group that `rft` takes; 0: all that are good enough."""
    mask: Literal["span", "turn"] = "span"
    """What of a failed tool call `em-sft` masks: the call's own tokens, or its whole turn."""
    baseline: Literal["group", "trie"] = "group"
    """What a reward is compared with: the group's mean, or the mean of the samples that share the prefix."""
    tokenizer: str = ""
    """Digest that every trajectory's tokenizer must have; empty: they must only agree with each other."""
