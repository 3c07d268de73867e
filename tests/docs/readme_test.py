#!/usr/bin/env python3
"""Checks that the README's C++ examples are, line for line, those that tests/docs/readme*_test.cpp compile and run."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent.parent)


def main() -> int:
    readme, wrong = (ROOT / "README.md").read_text(), 0
    for name in ("readme_test.cpp", "readme_policy_test.cpp"):
        source = (ROOT / "tests/docs" / name).read_text()
        example = re.search(r"// \[readme\n(.*)// readme\]", source, re.S).group(1)
        if f"```cpp\n{example}```" not in readme:
            print(f"README.md does not show the example of tests/docs/{name} as it is")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
