"""kat-rollout's room: let agents work on tasks in boxes, and keep every call they make.

In: tasks. Out: each task once, then its trajectories. `attempts` what is to be rolled out; `service` what all rollouts
of a process share (engine, gateway, kind of box); `roller` one rollout; `patch` what an agent changed.

    options = RolloutOptions(agent=AgentOptions(model=folder), number=SampleOptions(samples=8))
    for trajectory in rollouts(tasks, Setup(options), jobs=4): ...
"""
