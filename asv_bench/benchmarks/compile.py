"""What compiling the kernels takes, on an empty cache: CPU seconds, for one dtype."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from numopt.compile import FAMILIES

from .cases import QUICK


def compiled(*arguments):
    """Return the CPU seconds of each kernel that a fresh process compiles."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "numopt.compile", "--dtype", "float64", *arguments]
        environment = os.environ | {"NUMOPT_CACHE_DIR": folder, "NUMOPT_QUIET": "1"}
        subprocess.run(
            [*command, "--record", str(record)],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return json.loads(record.read_text())


class Compile:
    """All kernels of a solver."""

    param_names = ("solver",)
    params = (["constrained"] if QUICK else list(FAMILIES),)
    timeout = 300

    def setup(self, solver):
        self.seconds = compiled(solver).values()

    def track_seconds(self, _solver):
        return sum(self.seconds)

    def track_longest(self, _solver):
        return max(self.seconds)

    track_seconds.unit = track_longest.unit = "CPU s"
