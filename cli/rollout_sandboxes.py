"""kat-rollout sandboxes: which kinds of sandboxes work here, which boxes there are, and the removal of stray ones."""

from __future__ import annotations

from katcli.contract import Program
from katcli.run import Run
from katcore.rollout.options import SandboxesOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("sandboxes", output="text")(sandboxes)


def sandboxes(run: Run, options: SandboxesOptions) -> None:
    """List the kinds of sandboxes and whether they work on this machine, then the boxes that there are.

    A box is listed with its kind, its runner, its name, whether the runner lives, and the MiB that it wrote. A runner
    removes its boxes, and a reaper does after it died; what a loss of power left behind is removed by --clean, or by
    the next runner.
    """
    from katcore.sandbox import inventory

    rows = [f"{name}\t{works}" for name, works in inventory.kinds().items()]
    if options.clean:
        rows.append(f"removed\t{inventory.clean()}")
    rows += [
        f"{row.sandbox}\t{row.owner}\t{row.box or '-'}\t{'held' if row.held else 'stray'}\t{row.mib}"
        for row in inventory.boxes()
    ]
    run.text("\n".join(rows))
