"""kat-verify's room: grade what an attempt changed or said, in a fresh box that the attempt never touched.

In: trajectories and the tasks they belong to. Out: the same trajectories with a verdict, and reports over them; task
files are validated. An agent's box and its files are never consulted: only its patch, and where the task asks for an
answer, its words, which are data.
"""
