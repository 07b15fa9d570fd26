"""kat-verify's room: grade what an attempt changed, in a fresh box that the attempt never touched.

In: trajectories and the tasks they belong to. Out: the same trajectories with a verdict, and reports over them. An
agent's box, its files and its words are never consulted: only its patch is.
"""

from katcore.verify.attempts import Attempt, attempts, task_table
from katcore.verify.grader import Grader
from katcore.verify.report import Row, rows, table

__all__ = ["Attempt", "Grader", "Row", "attempts", "rows", "table", "task_table"]
