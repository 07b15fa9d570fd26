"""What `bin/test --verbose` of sympy's repository does, on files that lie elsewhere."""

import sys
from pathlib import Path

from sympy.testing.runtests import PyTestReporter, SymPyTests

reporter = PyTestReporter(verbose=True, colors=False)
tests = SymPyTests(reporter, "", False, seed=1)
tests._root_dir = str(Path.cwd())
reporter.root_dir(tests._root_dir)
tests._testfiles = [str(Path.cwd() / name) for name in sys.argv[1:]]
sys.exit(0 if tests.test(sort=True, timeout=False, slow=False, enhance_asserts=False) else 1)
