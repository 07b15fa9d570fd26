"""kat-build-env: a mined change becomes a task with an environment that builds and tests that tell.

In: `kat.change` records. Out: `kat.task` records, or a reason why a change makes none. `items` and `Builder` are what
the command uses. It does not write problem statements with a model, and it does not grade attempts.
"""
