"""kat-mine: real software changes from git histories and package registries."""

from __future__ import annotations

from typing import Annotated

import typer

from katcli import mine_tasks
from katcli.contract import Program
from katcli.run import Run
from katcore.mine.options import ChangesOptions, ReleasesOptions

kat = Program("kat-mine", "Mine changes from git histories and package registries.")


@kat.command("changes")
def changes(
    run: Run,
    repos: Annotated[
        list[str], typer.Argument(metavar="REPO...", help="Git repositories: folders or URLs.", show_default=False)
    ],
    which: ChangesOptions,
) -> None:
    """Mine git histories: one change a commit, newest first.

    A merge is one change against its first parent; the commits of the branch it merges are changes too, unless
    --first-parent is given. URLs are cloned into the cache once and fetched again later. Commits that change nothing
    are turned away.
    """
    from katcore.mine.changes import Changes, commits
    from katcore.mine.history import Selection

    selection = Selection(which.range, which.since, which.until, which.first_parent)
    run.stage(commits(repos, selection), Changes(which.tests.with_tests))


@kat.command("releases")
def releases(
    run: Run,
    packages: Annotated[
        list[str], typer.Argument(metavar="PACKAGE...", help="Names on the package index.", show_default=False)
    ],
    which: ReleasesOptions,
) -> None:
    """Mine consecutive source releases of Python packages.

    The index, its certificates and credentials are those of the user's pip. Archives are kept in the cache by their
    hash. Yanked releases are passed over. What packaging tools generate stays out of the patch; what the change log
    gained is the body.
    """
    from katcore.mine.releases import Releases, pairs

    run.stage(pairs(packages, which, warn=run.warn), Releases(which.offline, which.tests.with_tests))


mine_tasks.register(kat)

main = kat.main
