"""Readers of the reports that test runners write for machines, one file per family of formats.

In: the bytes of a report that untrusted code may have written. Out: `Outcomes`: a status, the seconds and the number of
entries per test id, or BadReport. An id is `<unit>::<name>`: the unit (a file, a package, a class) is what a runner can
be asked to run, the name is the runner's own with its parameters. Ids hold no times, no absolute paths and no lines.

JUnit XML serves most runners (`junit`, and `bundle` for one file per class); go, jest, mocha and rspec have JSON of
their own, .NET has TRX, node has TAP. `libtest` reads text, because Rust's stable runner writes nothing else. Which
runner writes what is in `katcore.testrun.runners`; nothing here runs anything.
"""
