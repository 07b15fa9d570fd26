"""Options of every command that makes boxes."""

from typing import Annotated

from katcore.options import Options, opt


class BoxOptions(Options, frozen=True):
    """What boxes are made by."""

    sandbox: Annotated[str, opt("What boxes are made by: bubblewrap or docker.", metavar="SANDBOX")] = "bubblewrap"
    runtime: Annotated[str, opt("The Docker engine's runtime for boxes, such as runsc or kata.", metavar="NAME")] = ""

    @property
    def name(self) -> str:
        """The sandbox's whole name. UsageError for one that is none."""
        from katcore.sandbox import sandbox_name

        return sandbox_name(self.sandbox, self.runtime)
