"""What runs in a container: its first process, and what says which files it has.

The supervisor runs as the same user as everything else in the box; not being dumpable, it cannot be traced or read by
them, and the kernel keeps signals from inside away from a first process. Being process 1 it can end a fork bomb that
fills the limit: it needs no new process, and `kill(-1)` is atomic.
"""
