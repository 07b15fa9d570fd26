"""Tree-structured trajectory training (method.md § 4.2): subtrees that are coherent in themselves, plain SFT in each.

A trajectory is cut where one context ends and another begins: above every message with a boundary (compaction, mode,
and, where it hangs below another context, subagent and title), and at every root. Each subtree is a sample of its own,
with its own place in the denominators, and trains each of its sampled tokens once. Subtrees in which nothing was
sampled are left out and counted.

What is above the cut stays the subtree's context, with weight 0: its prompt is the whole path from the root, as the
engine saw it. Where the compaction wrote the prompt anew, the record has a new branch at the place from which it
differs, or a new root, and the path is that new prompt and nothing of the old one. In the pack the context is not
repeated: the trie has it once. A path that a template alone wrote anew (`render.py`) is no cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from katcore.pack_trie.objective import PackObjective, Parts
from katcore.pack_trie.sft import low_reward, weigh
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node


def subtrees(nodes: Sequence[Node]) -> dict[int, int]:
    """The subtree of each node id, numbered in the order of the nodes; a parent comes before its children."""
    found: dict[int, int] = {}
    count = 0
    for node in nodes:
        if node.parent is None or node.boundary != "none":
            found[node.id], count = count, count + 1
        else:
            found[node.id] = found[node.parent]
    return found


def parts(tree: TokenTree, nodes: Sequence[Node]) -> Parts:
    """One tree for each subtree in which something was sampled."""
    of = subtrees(nodes)
    count = len(set(of.values()))
    own = [of[node.id] for node in tree.nodes]
    trained = sorted({own[k] for k in set(tree.sampled_node.tolist())})
    if count == 1 and trained:
        return Parts([tree])
    return Parts([tree.part([o == each for o in own]) for each in trained], count - len(trained))


OBJECTIVE = PackObjective(weigh, turn_away=low_reward, parts=parts)
