"""Data several times as large as what a process may allocate."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from libraries import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs a limit on the memory of a process"
)
# OpenBLAS takes its 32 MB for each thread, whatever the matrix.
ONE_THREAD = {**os.environ, "NUMOPT_NUM_THREADS": "1"}


def script(solver, kind, path, rows, columns, headroom, timeout=280):
    """Return what `larger_than_memory.py` prints."""
    numbers = map(str, (rows, columns, headroom))
    done = subprocess.run(
        [sys.executable, "tests/larger_than_memory.py", solver, kind, str(path), *numbers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=ONE_THREAD,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored")
    yield path
    shutil.rmtree(path)


def test_a_pass_over_a_file_twice_as_large_as_memory(folder):
    made = script("one_pass", "files", folder / "small.npy", 60_000, 128, 30_000_000)
    assert made["success"]
    assert (folder / "small.npy").stat().st_size >= 2 * 30_000_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memmap", "files", "callable"])
@pytest.mark.parametrize("solver", ["absolute", "powers", "least_squares"])
def test_regression_on_three_times_the_memory(solver, kind, folder):
    """300000 rows of 128 columns, 307 MB, in processes that may allocate 100 MB."""
    made = script(solver, kind, folder / "whole.npy", 300_000, 128, 100_000_000)
    assert made["success"]
    assert made["error"] < 0.02


@pytest.mark.slow
@pytest.mark.skipif(
    "NUMOPT_LARGE_TESTS" not in os.environ, reason="writes 10 GB; set NUMOPT_LARGE_TESTS to run"
)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("solver", ["one_pass", "least_squares", "eigenvector"])
def test_ten_gigabytes_with_three_hundred_megabytes(solver, folder):
    if shutil.disk_usage(folder).free < 15e9:
        pytest.skip("less than 15 GB of disk are free")
    made = script(solver, "files", folder / "large.npy", 5_000_000, 256, 300_000_000, 3000)
    assert (folder / "large.npy").stat().st_size >= 10e9
    assert made["success"]
