"""Data four times as large as the memory a process may use."""

import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
import numopt

n, d, height = 400_000, 64, 8000


def blocks():
    for start in range(0, n, height):
        rng = np.random.default_rng(start)
        yield rng.standard_normal((height, d)) * (1 + 99 * (rng.random((height, 1)) < 1e-3))


def run(blocks):
    tau = numopt.lp_scores(blocks, 2, kind="leverage")
    assert abs(tau.total - d) < 1e-8
    coreset = numopt.lp_coreset(blocks, None, 1, method="root_leverage", sample_size=4000, rng=0)
    assert coreset.success
    return tau


run([np.random.default_rng(0).standard_normal((20_000, d))])
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1])
ceiling = n * d * 8 // 6
resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + ceiling,) * 2)
try:
    np.ones(n * d // 4)
except MemoryError:
    run(blocks)
    print("solved")
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_blocks_larger_than_memory():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "solved"
