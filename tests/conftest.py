"""The fixtures of all tests, and limits that keep parallel workers fair."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Set before any of the libraries below is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Kept between runs: a file of compiled code is named by all that it depends on.
os.environ.setdefault("NUMOPT_CACHE_DIR", str(ROOT / ".pytest_cache"))
# The same kernel whenever a test runs: unpinned, a fast machine computes other last bits.
os.environ.setdefault("NUMOPT_KERNELS", "compiled")
os.environ.setdefault("NUMOPT_QUIET", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from libraries import LIBRARIES  # noqa: E402

import numopt  # noqa: E402
from numopt._core import dispatch  # noqa: E402

pytest.register_assert_rewrite("transport_oracles")


def _marks(name):
    """Return the marks of a library: variants of the strict one are left to the gate."""
    if name == "cupy":
        return [pytest.mark.gpu]
    return [pytest.mark.slow] if name.startswith("strict-") else []


@pytest.fixture(params=[pytest.param(name, marks=_marks(name)) for name in LIBRARIES])
def lib(request, monkeypatch):
    """Every array library in turn; NumPy with the kernels below and above their least size."""
    library = LIBRARIES[request.param]()
    if library.name.startswith("numpy"):
        size = 2**62 if library.name == "numpy-compiled" else 0
        monkeypatch.setattr(dispatch, "size_of", lambda _: size)
    return library


@pytest.fixture
def compiled(monkeypatch):
    """Let NumPy arrays of any size take the compiled kernels."""
    monkeypatch.setattr(dispatch, "size_of", lambda _: 2**62)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Run compiled kernels on one thread: the workers of pytest-xdist share the cores."""
    numopt.set_num_threads(1)


@pytest.fixture
def rng():
    """Return the same generator for every test."""
    return np.random.default_rng(0)
