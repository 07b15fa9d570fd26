"""kat-mine's room: git histories and package indexes in, `kat.change` records out.

`changes` walks a git history commit by commit, `releases` pairs consecutive source releases of a package; both share
`patches` (git's diff format, byte-exact), `languages`, `testfiles` and `license`.
"""
