"""Call one function of a program's file, and write its value as JSON.

Python 3.6 or later, standard library alone. In: one argument, JSON in base64: the file, the function (of the module,
or a method of its class `Solution`), the arguments. Out, on standard output: the value. It goes out on a descriptor of
its own: what the program prints is nobody's answer, and ends on standard error.
"""

import base64
import importlib.util
import json
import os
import sys


def main() -> None:
    """Call the function and write what it returns as JSON; errors are the program's own, shown as Python does."""
    out = os.dup(1)
    os.dup2(2, 1)
    path, name, arguments = json.loads(base64.b64decode(sys.argv[1]))
    spec = importlib.util.spec_from_file_location("solution", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules["solution"] = module
    spec.loader.exec_module(module)
    holder = module.Solution() if hasattr(module, "Solution") and not hasattr(module, name) else module
    os.write(out, json.dumps(getattr(holder, name)(*arguments)).encode())


if __name__ == "__main__":
    main()
