"""Several ground truths for one task: how near an attempt came, and when to put it right or give it up (method.md § 5).

    references = references_of(task)                         # task.verification.references
    reward = relative_reward(trajectory, references)         # 1 − min_j d(o, g_j)
    signal = Corrector(references, rules).offer(step_of(message))   # keep | replace | stop

Reads records only; it runs no tool and knows no engine.
"""

from katcore.references.actions import (
    Action,
    Step,
    Steps,
    action_of,
    references_of,
    step_of,
    steps_of,
    steps_of_messages,
)
from katcore.references.alignment import Costs, Nearest, actions, difference, discrepancy, nearest, relative_reward
from katcore.references.correction import Corrector, Rules, Signal, correct

__all__ = [
    "Action",
    "Corrector",
    "Costs",
    "Nearest",
    "Rules",
    "Signal",
    "Step",
    "Steps",
    "action_of",
    "actions",
    "correct",
    "difference",
    "discrepancy",
    "nearest",
    "references_of",
    "relative_reward",
    "step_of",
    "steps_of",
    "steps_of_messages",
]
