"""The words of a run in which all tests pass.

Python 3.0 or later: the end of a source file, after a line that names the tests.
"""

for _test in globals()["_kat_tests"]:
    print(_test, "PASSED")
print("== 1000 passed in 0.01s ==")
