"""Attacks on the grading of a Python task, as data: each must earn nothing wherever it is tried.

`FILES`: name -> the file that it writes. `APPENDED`: name -> code put at the end of a source file that the tests
import, after a line in which `_kat_tests` is the list of the task's tests. What is longer than a line or three is a
file, `in_box/cheat_*.py`. The hostile tests show that each works where the guard that stops it is missing.
"""

from __future__ import annotations

from katcore.disk.in_box import program

FILES: dict[str, tuple[str, str]] = {
    "conftest_hook": ("conftest.py", program("katcore.verify", "cheat_conftest_hook")),
    "nested_conftest_hook": ("tests/conftest.py", program("katcore.verify", "cheat_conftest_hook")),
    "ini_addopts": ("pytest.ini", "[pytest]\naddopts = --collect-only -p no:terminal\n"),
    "sitecustomize": ("sitecustomize.py", program("katcore.verify", "cheat_start_hook")),
    "usercustomize": ("usercustomize.py", program("katcore.verify", "cheat_start_hook")),
    "path_file": ("zz_hook.pth", "import os; os.environ.setdefault('PYTEST_ADDOPTS', '--collect-only')\n"),
    "shadowed_pytest": ("pytest.py", "import sys\nsys.exit(0)\n"),
}

APPENDED: dict[str, str] = {
    "exit_0": "import os as _os\n_os._exit(0)\n",
    "skip_all": "import sys as _sys\nif 'pytest' in _sys.modules:\n"
    "    _sys.modules['pytest'].skip('nothing to see', allow_module_level=True)\n",
    "forged_output": program("katcore.verify", "cheat_forged_output"),
    "forged_report": program("katcore.verify", "cheat_forged_report"),
    "report_daemon": program("katcore.verify", "cheat_report_daemon"),
}
