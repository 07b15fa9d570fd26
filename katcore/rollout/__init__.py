"""kat-rollout's room: let agents work on tasks in boxes, and keep every call they make.

In: tasks. Out: each task once, then its trajectories. `attempts` what is to be rolled out; `service` what all rollouts
of a process share (engine, gateway, kind of box); `roller` one rollout; `patch` what an agent changed.

    for trajectory in rollouts(tasks, Options(model=folder, samples=8), jobs=4): ...
"""

from katcore.rollout.attempts import Attempt, Options, attempts
from katcore.rollout.groups import GroupRules, Groups, groups
from katcore.rollout.kept import KeptAttempts
from katcore.rollout.roller import Roller, rollouts
from katcore.rollout.totals import Prices, Tally

__all__ = [
    "Attempt",
    "GroupRules",
    "Groups",
    "KeptAttempts",
    "Options",
    "Prices",
    "Roller",
    "Tally",
    "attempts",
    "groups",
    "rollouts",
]
