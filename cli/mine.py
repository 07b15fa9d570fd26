"""kat-mine: real software changes from git histories and package registries."""

from __future__ import annotations

from typing import Annotated

import typer

from katcli import mine_tasks
from katcli.contract import Program
from katcli.run import Run

kat = Program("kat-mine", "Mine changes from git histories and package registries.")

WithTests = Annotated[bool, typer.Option("--with-tests", help="Only changes that touch tests.")]


@kat.command("changes")
def changes(
    run: Run,
    repos: Annotated[
        list[str], typer.Argument(metavar="REPO...", help="Git repositories: folders or URLs.", show_default=False)
    ],
    range: Annotated[
        str, typer.Option("--range", metavar="REVISIONS", help="Revisions as git writes them, such as v1..v2.")
    ] = "HEAD",
    since: Annotated[
        str, typer.Option("--since", metavar="DATE", help="Commits from this time on; a date alone is UTC.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="Commits up to this time; a date alone is its end in UTC.")
    ] = "",
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="The main line only: a merged branch is its merge.")
    ] = False,
    with_tests: WithTests = False,
) -> None:
    """Mine git histories: one change a commit, newest first.

    A merge is one change against its first parent; the commits of the branch it merges are changes too, unless
    --first-parent is given. URLs are cloned into the cache once and fetched again later. Commits that change nothing
    are turned away.
    """
    from katcore.mine.changes import Changes, commits
    from katcore.mine.history import Selection

    selection = Selection(range, since, until, first_parent)
    run.stage(commits(repos, selection), Changes(with_tests))


@kat.command("releases")
def releases(
    run: Run,
    packages: Annotated[
        list[str], typer.Argument(metavar="PACKAGE...", help="Names on the package index.", show_default=False)
    ],
    first: Annotated[
        str, typer.Option("--from", metavar="VERSION", help="The first release, the base of a change.")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="VERSION", help="The last release.")] = "",
    pre: Annotated[bool, typer.Option("--pre", help="Pre-releases too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only what the cache holds.")] = False,
    with_tests: WithTests = False,
) -> None:
    """Mine consecutive source releases of Python packages.

    The index, its certificates and credentials are those of the user's pip. Archives are kept in the cache by their
    hash. Yanked releases are passed over. What packaging tools generate stays out of the patch; what the change log
    gained is the body.
    """
    from katcore.mine.releases import Releases, pairs

    work = pairs(packages, first, last, pre=pre, offline=offline, warn=run.warn)
    run.stage(work, Releases(offline, with_tests))


mine_tasks.register(kat)

main = kat.main
