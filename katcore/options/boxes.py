"""Options of every command that makes boxes."""

from typing import Annotated

from katcore.options import Options, opt

TEST_TIMEOUT_S = 1800.0
"""Seconds that a task's tests may take, unless told otherwise, when it is built, graded and validated alike."""


class BoxOptions(Options, frozen=True):
    """What boxes are made by; `katcore.sandbox.name_of` makes one name of both."""

    sandbox: Annotated[str, opt("What boxes are made by: bubblewrap or docker.", metavar="SANDBOX")] = "bubblewrap"
    runtime: Annotated[str, opt("The Docker engine's runtime for boxes, such as runsc or kata.", metavar="NAME")] = ""
