"""No test is run: the function that would run it is another before pytest has started.

Python 2.7 or later: a `sitecustomize.py` or a `usercustomize.py`.
"""

import os
import sys

if "KAT_REPORT" in os.environ:
    import _pytest.runner

    _pytest.runner.call_runtest_hook = _pytest.runner.CallInfo.from_call  # type: ignore[attr-defined]
    sys.modules["conftest"] = sys.modules[__name__]
