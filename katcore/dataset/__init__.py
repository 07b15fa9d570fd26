"""Other people's datasets as tasks, and tasks as other people's datasets.

In: files and folders on disk; nothing is fetched. Out: lines of kat.task, and rows back. `formats` has the table of
all; each format is a module with `to_task` and `from_task`, pure functions on one row.
"""
