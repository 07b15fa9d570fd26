"""Scripts of other people's datasets, made to say how the tests ended.

In: a script that prints a log. Out: the same script whose exit status is that of its tests, and which does not print
the whole repository into the log. SWE-bench's scripts run without `-e` and end with putting the test files back, so
their own status says nothing; they also print the last commit, which is the whole repository where there is only one.
"""

from __future__ import annotations

import re

from katcore.testrun.reports.logs import END

_SHOWS = re.compile(r"^git (?:show|status|log|-c core\.fileMode=false diff [0-9a-f]+)[ \t]*$\n?", re.MULTILINE)
_END = re.compile(rf"^(?:\w+=\$\?\n)?.*{re.escape(END)}.*$", re.MULTILINE)
"""The marker, and before it the line of a script that keeps the status by itself."""


def recorded(script: str) -> str:
    """The script as it is run, recording the tests' exit status; one without the end marker keeps its own status."""
    script = _SHOWS.sub("", script)
    end = _END.search(script)
    if end is None:
        return script
    return f"{script[: end.start()]}kat_tests_ended=$?\n{script[end.start() :].rstrip()}\nexit $kat_tests_ended\n"
