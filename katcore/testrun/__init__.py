"""Run a task's tests in a box and read what they say: the one place for it, used to build tasks and to grade attempts.

In: a box of `environment`, a task's test files, and a patch. Out: an outcome per test id, and a grade.

`run` puts a patch and the task's own test files into a box and runs the tests; `runners` says how each runner is
called; `reports` reads what it wrote; `grade` judges outcomes. Nothing here decides what a task is.
"""
