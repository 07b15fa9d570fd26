"""Options of kat-mine."""

from typing import Annotated

from msgspec import field

from katcore.dataset.options import DatasetName
from katcore.options import Options, opt
from katcore.options.shared import Order


class TestsOptions(Options, frozen=True):
    """Which changes are of use."""

    with_tests: Annotated[bool, opt("Only changes that touch tests.")] = False


class ChangesOptions(Options, frozen=True):
    """`kat-mine changes`: which commits of a history."""

    range: Annotated[str, opt("Revisions as git writes them, such as v1..v2.", metavar="REVISIONS")] = "HEAD"
    since: Annotated[str, opt("Commits from this time on; a date alone is UTC.", metavar="DATE")] = ""
    until: Annotated[str, opt("Commits up to this time; a date alone is its end in UTC.", metavar="DATE")] = ""
    first_parent: Annotated[bool, opt("The main line only: a merged branch is its merge.")] = False
    tests: TestsOptions = TestsOptions()


class ReleasesOptions(Options, frozen=True):
    """`kat-mine releases`: which releases of a package."""

    first: Annotated[str, opt("The first release, the base of a change.", metavar="VERSION")] = field(
        name="from", default=""
    )
    last: Annotated[str, opt("The last release.", metavar="VERSION")] = field(name="to", default="")
    pre: Annotated[bool, opt("Pre-releases too.")] = False
    offline: Annotated[bool, opt("Only what the cache holds.")] = False
    tests: TestsOptions = TestsOptions()


class TasksOptions(Options, frozen=True):
    """`kat-mine tasks`: whose rows, and what is done to them."""

    dataset: Annotated[DatasetName, opt("The dataset's format.")] = field(name="from")
    solve: Annotated[str, opt("Run each Harbor task's solution there, for its patch.", metavar="SANDBOX")] = ""
    build: Annotated[bool, opt("Build the images of tasks that have a Dockerfile with the Docker engine.")] = False
    order: Order = Order(ordered=True)
