"""kat-rollout scaffolds: list, install and check the agents."""

from __future__ import annotations

from katcli.contract import Program
from katcli.run import Run
from katcore.rollout.options import ScaffoldsOptions


def register(kat: Program) -> None:
    """Add the subcommand to the program."""
    kat.command("scaffolds", output="text")(scaffolds)


def scaffolds(run: Run, options: ScaffoldsOptions) -> None:
    """List the scaffolds: name, version, API, whether installed.

    A scaffold that is somebody else's agent is installed once, as pinned, into the cache; rollouts do it at first use
    and need no network after that. `[scaffold.NAME]` tables of kat.toml add command lines of your own, or change what
    a built-in row says.
    """
    from katcore.errors import KatError, UsageError
    from katcore.rollout.scaffold_status import install_one, selected, status

    table = run.scaffold_table()
    names = selected(options.install, table)
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
    run.text("\n".join("\t".join(row) for row in status(table, check=options.check)))
    if failed:
        raise KatError(f"{len(failed)} of {len(names)} scaffolds could not be installed")
