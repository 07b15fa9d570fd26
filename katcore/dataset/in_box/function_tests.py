"""Run the functions `test_*` of `test_solution.py`, and write what each came to as JUnit.

Python 3.6 or later, standard library alone. In: the working folder, and `KAT_REPORT`, a folder. Out: `report.xml` in
it; exit status 1 where a test fails.
"""

import os
import sys
import traceback
import xml.sax.saxutils as sax

FILE = "test_solution.py"


def loaded() -> dict:
    """Name -> function."""
    scope = {"__name__": "test_solution"}
    with open(FILE) as file:
        exec(compile(file.read(), FILE, "exec"), scope)
    return {name: value for name, value in scope.items() if name.startswith("test_") and callable(value)}


def main() -> int:
    """The exit status. A solution may raise anything, at its import too."""
    sys.path.insert(0, os.getcwd())
    cases: dict[str, str] = {}
    tests = {}
    try:
        tests = loaded()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        cases[FILE] = "<error/>"
    for name, test in tests.items():
        inner = ""
        try:
            test()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            inner = "<failure/>"
        cases[f"{FILE}::{name}"] = inner
    lines = [f"<testcase name={sax.quoteattr(name)}>{inner}</testcase>" for name, inner in cases.items()]
    with open(os.environ["KAT_REPORT"] + "/report.xml", "w") as file:
        file.write("<testsuite>" + "".join(lines) + "</testsuite>")
    return int(any(cases.values()))


if __name__ == "__main__":
    sys.exit(main())
