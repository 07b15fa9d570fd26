"""KAT's core library: one room per command, shared parts, and the records that cross a pipe."""

__version__ = "0.1.0"
