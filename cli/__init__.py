"""The command line: one thin file per command, the contract that they all keep, and shell completion."""
