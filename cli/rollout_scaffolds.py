"""kat-rollout scaffolds: list, install and check the agents."""

from __future__ import annotations

from typing import Annotated

import typer

from katcli.contract import Program
from katcli.run import Run


def register(kat: Program) -> None:
    """Add the subcommand to the program."""
    kat.command("scaffolds", output="text")(scaffolds)


def scaffolds(
    run: Run,
    install: Annotated[
        list[str] | None,
        typer.Option("--install", metavar="NAME", help="Install this one, or `all`; may be given several times."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Start each installed one in a sandbox and ask for its version.")
    ] = False,
) -> None:
    """List the scaffolds: name, version, API, whether installed.

    A scaffold that is somebody else's agent is installed once, as pinned, into the cache; rollouts do it at first use
    and need no network after that. `[scaffold.NAME]` tables of kat.toml add command lines of your own, or change what
    a built-in row says.
    """
    from katcore.errors import KatError, UsageError
    from katcore.rollout.scaffold_status import install_one, selected, status

    table = run.scaffold_table()
    names = selected(install or [], table)
    failed = []
    for name in names:
        run.log(f"installing {name}")
        try:
            install_one(name, table)
        except UsageError:
            raise
        except KatError as error:
            failed.append(str(error))
            run.warn(str(error))
    run.text("\n".join("\t".join(row) for row in status(table, check=check)))
    if failed:
        raise KatError(f"{len(failed)} of {len(names)} scaffolds could not be installed")
