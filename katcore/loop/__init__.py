"""The RL loop: roll out, grade, pack, train, hand the weights to the engine, again; all in one process.

`plan` reads RUN.toml, `collector` gives graded attempts, `learn` is the loop, `graded` puts rollouts and grading
together, for the loop and for the command. This is the one place that composes rooms.
"""
