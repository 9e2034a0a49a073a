"""Scripts of the tests that run in a process of their own, and print a line of JSON."""

import json
import os
import subprocess
import sys

from libraries import ROOT


def script(*arguments, timeout=120):
    """Return what `cluster.py` prints."""
    done = subprocess.run(
        [sys.executable, "tests/cluster.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
