"""JUnit XML in several files, one per test class, as maven and gradle write it: packed into one tar archive.

Only regular files whose names end in `.xml` are read, in the order of their names, none of them is unpacked.
"""

from __future__ import annotations

import io
import tarfile

from katcore.testrun.reports import junit
from katcore.testrun.reports.outcome import BadReport, Outcomes, checked

MAX_FILES = 20_000


def read_bundle(data: bytes, root: str = "", identify: junit.Identify = junit.by_class) -> Outcomes:
    """The outcomes of all files in the archive. Raises BadReport."""
    outcomes = Outcomes()
    try:
        with tarfile.open(fileobj=io.BytesIO(checked(data)), mode="r:") as archive:
            files = [member for member in archive if member.isreg() and member.name.endswith(".xml")]
            if len(files) > MAX_FILES:
                raise BadReport(f"the archive holds {len(files)} reports, more than {MAX_FILES}")
            for member in sorted(files, key=lambda member: member.name):
                if member.sparse is not None:  # a few bytes that say they are terabytes
                    raise BadReport("the archive holds a sparse file")
                content = archive.extractfile(member)
                assert content is not None
                _add(outcomes, junit.read_junit(content.read(), root, identify))
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise BadReport(f"the report is no tar archive: {error}") from error
    return outcomes


def _add(outcomes: Outcomes, others: Outcomes) -> None:
    for test, status in others.statuses.items():
        outcomes.add(test, status, others.seconds.get(test))
    for test, count in others.repeated.items():
        outcomes.repeated[test] = outcomes.repeated.get(test, 1) + count - 1
