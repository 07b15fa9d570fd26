"""Run a task's tests in a box and read what they say: the one place for it, used to build tasks and to grade attempts.

In: a task's source, environment, test files, and a patch. Out: an outcome per test id, and a grade.

`workspace` the repository at its base; `environment` the built dependencies; `run` puts a patch and the task's own test
files into a box and runs the tests; `junit` reads the report; `grade` judges outcomes. Nothing here decides what
a task is.
"""
