"""The fixtures of all tests, and limits that keep parallel workers fair."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Set before any of the libraries below is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Threads that exist; each test but those on threads uses one of them (see `one_thread`).
os.environ.setdefault("NUMBA_NUM_THREADS", "4")


def _kernel_digest() -> str:
    """Return a name for the state of all compiled kernels.

    Numba's cache on disk sees changes of the file a kernel is in, not of those it calls.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "numba_kernels").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / f"numba-{_kernel_digest()}"))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from libraries import LIBRARIES  # noqa: E402

from numopt._core import dispatch  # noqa: E402

pytest.register_assert_rewrite("transport_oracles")


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.gpu) if name == "cupy" else name for name in LIBRARIES
    ]
)
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
    import numba

    numba.set_num_threads(1)


@pytest.fixture
def rng():
    """Return the same generator for every test."""
    return np.random.default_rng(0)
