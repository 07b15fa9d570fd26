"""Read logs with the parsers of the real `swebench` package: in {name: [parser, path]}, out {name: {test: status}}.

Runs under the interpreter that has the package. A parser that the package does not have is left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from swebench.harness.log_parsers import PARSER_REGISTRY

found = {}
for name, (parser, path) in json.load(sys.stdin).items():
    if parser in PARSER_REGISTRY:
        found[name] = PARSER_REGISTRY[parser](Path(path).read_text(encoding="utf-8"), SimpleNamespace())
json.dump(found, sys.stdout)
