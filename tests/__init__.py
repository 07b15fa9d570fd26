"""The tests; a package, so that `tests.support` is this one whatever is installed."""
