"""What a command of shear prints as JSON."""

import json
import os
import pathlib
import subprocess
import sys


def ask(command: list[str], out: pathlib.Path, allowed: tuple[int, ...] = (0,)) -> dict:
    """Times that it measures are kept in `out`, not among the user's."""
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, "XDG_CACHE_HOME": str(out.resolve())})
    if done.returncode not in allowed:
        sys.exit(f"tools/bench: shear ended with {done.returncode}, expected 0")
    return json.loads(done.stdout)
