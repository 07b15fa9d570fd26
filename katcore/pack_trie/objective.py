"""What an objective decides: which attempts it takes, what is a sample, what the tokens weigh, and the advantages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import Floats, Index, Ints, TokenTree
from katcore.records import Node, Verdict


def _anything(verdict: Verdict | None, settings: PackOptions) -> str:
    return ""


def _nothing(nodes: Sequence[Node]) -> dict[str, int]:
    return {}


Refusal = tuple[str, str] | None
"""(stage, reason) for a `Rejected` record, or None where an attempt is taken."""


@dataclass(frozen=True)
class Parts:
    """The samples of one attempt, and how many were left out because nothing in them was sampled."""

    trees: list[TokenTree]
    dropped: int = 0


@dataclass(frozen=True)
class PackObjective:
    """One training objective; a new one is a new file with one of these, and its name in `objectives.py`."""

    weigh: Callable[[TokenTree, PackOptions], Weights]
    turn_away: Callable[[Verdict | None, PackOptions], str] = _anything
    """Why an attempt with this verdict is not trained on; empty when it is."""
    choose: Callable[[Sequence[TokenTree], Sequence[float], PackOptions], list[Refusal]] | None = None
    """From the trees and rewards of a group's attempts: why each is not taken, None where it is."""
    parts: Callable[[TokenTree, Sequence[Node]], Parts] | None = None
    """Cuts an attempt (its tree, and the nodes of its record) into several samples. Without it, it is one."""
    advantages: Callable[[Sequence[float]], list[float]] | None = None
    """The advantages of a group's unmasked samples, from their rewards."""
    branch_advantages: Callable[[Sequence[float], Sequence[Index], Ints, Sequence[Index]], list[Floats]] | None = None
    """The advantages of each sample's trained tokens, from where samples part: what `--baseline trie` asks for."""
    tally: Callable[[Sequence[Node]], dict[str, int]] = _nothing
    """Numbers that an attempt's nodes add to the summary."""
    needs_reward: bool = True
    needs_logprobs: bool = False
    """Whether text, or a sampled token without the engine's log-prob, is refused: tokens must be the policy's own."""
    least: int = 1
    """The fewest unmasked samples that a group must have."""
