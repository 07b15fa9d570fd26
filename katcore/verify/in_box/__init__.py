"""What runs in a box to judge an attempt: a browser's driver, one call of a function, and the probes' attacks.

An attack (`cheat_*.py`) is written into a task's repository: as a file of its own, or at the end of a source file.
"""
