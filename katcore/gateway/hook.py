"""What may look at an answer before the agent sees it: `(path, response) -> keep | replace(message) | stop`.

In: the nodes that lead to an answer, and the answer's message. Out: a decision. `by_references` is method.md § 5.2: a
step that leaves every reference is replaced by the nearest one's; after several in a row the rollout ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from katcore.records import Json, Node
from katcore.references import Corrector, Rules, Steps, step_of


@dataclass(frozen=True)
class Decision:
    """What the gateway does with an answer: `message` (OpenAI form) replaces it; `reason` is for people."""

    kind: Literal["keep", "replace", "stop"] = "keep"
    message: Json | None = None
    reason: str = ""


KEEP = Decision()
Hook = Callable[[Sequence[Node], Json], Decision]
"""(path, answer) → decision; called once for each answer, in order, and free to keep state between calls."""


def by_references(references: Sequence[Steps], rules: Rules, workdir: str) -> Hook:
    """A hook that follows the main conversation of one rollout beside its references."""
    corrector = Corrector(references, rules)

    def judge(path: Sequence[Node], response: Json) -> Decision:
        if path[-1].lineage.startswith(("subagent", "title")):
            return KEEP
        signal = corrector.offer(step_of(response, workdir))
        if signal.decision == "stop":
            return Decision("stop", reason=f"{signal.streak} steps away from every reference")
        if signal.decision == "replace" and signal.step is not None:
            return Decision("replace", signal.step.message, f"{signal.deviation:.2f} from reference {signal.reference}")
        return KEEP

    return judge
