"""Record streams: JSON lines, zstd and Parquet in; atomic, resumable files and pipes out.

The one place where KAT opens record files. Rooms read `Line`s and hand back records; only the command contract opens
an output.
"""

from katcore.streams.lines import Line, checked, splice
from katcore.streams.output import Output, open_output
from katcore.streams.reader import read_records

__all__ = ["Line", "Output", "checked", "open_output", "read_records", "splice"]
