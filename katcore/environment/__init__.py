"""What a task's box has: the repository at its base, the dependencies that were built once, a clock, the variables.

In: a task's source and environment, a patch. Out: folders to mount, a `sandbox.Spec`, the variables of a process, a
patched tree. `workspace` is the repository, `built` the dependencies, `pip` talks to the package index, `patch` applies
a patch that nobody trusts, `scan` looks for the answer where an agent would see it. Running tests is `testrun`'s.
"""
