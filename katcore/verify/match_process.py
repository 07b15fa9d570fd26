"""One regular expression over one text, in a process of its own: one that never ends is ended with it.

Run by its path, with `python -I -S`, by `rules.py`. In: JSON on standard input, [pattern, text, `search` or
`fullmatch`]. Out: exit status 0 where it matches.
"""

import json
import re
import sys


def main() -> None:
    """Exit with 0 where the pattern on standard input matches its text, else with 1; the dot matches line ends too."""
    pattern, text, how = json.load(sys.stdin)
    sys.exit(not getattr(re.compile(pattern, re.DOTALL), how)(text))


if __name__ == "__main__":
    main()
