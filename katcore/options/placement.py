"""Options of where the embedded engine's weights lie, for every command that starts one."""

from typing import Annotated, Literal

from katcore.options import Options, opt

DtypeName = Literal["auto", "float32", "bfloat16"]
"""Floating types of a model that is not trained."""


class PlacementOptions(Options, frozen=True):
    """Device and floating type; of a server that somebody else runs they are its own affair."""

    engine_device: Annotated[
        str, opt("Device of the embedded engine: auto, cpu, cuda or cuda:N.", metavar="DEVICE")
    ] = "auto"
    engine_dtype: Annotated[DtypeName, opt("Of its weights; auto is bfloat16 on a GPU, else float32.")] = "auto"
