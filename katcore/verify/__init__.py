"""kat-verify's room: grade what an attempt changed or said, in a fresh box that the attempt never touched.

In: trajectories and the tasks they belong to. Out: the same trajectories with a verdict, and reports over them; task
files are validated. An agent's box and its files are never consulted: only its patch, and where the task asks for an
answer, its words, which are data.
"""

from katcore.verify.attempts import Attempt, attempts, task_table
from katcore.verify.grader import Grader
from katcore.verify.judge import Judge
from katcore.verify.report import ReportRow, rows, table
from katcore.verify.verifier import Verifier

__all__ = ["Attempt", "Grader", "Judge", "ReportRow", "Verifier", "attempts", "rows", "table", "task_table"]
