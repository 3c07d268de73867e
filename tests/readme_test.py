#!/usr/bin/env python3
"""Checks that the README's C++ example is, line for line, the one that tests/readme_test.cpp compiles and runs."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)


def main() -> int:
    source = (ROOT / "tests/readme_test.cpp").read_text()
    example = re.search(r"// \[readme\n(.*)// readme\]", source, re.S).group(1)
    if f"```cpp\n{example}```" in (ROOT / "README.md").read_text():
        return 0
    print("README.md does not show the example of tests/readme_test.cpp as it is")
    return 1


if __name__ == "__main__":
    sys.exit(main())
