"""The array libraries the tests run on, and limits that keep parallel workers fair."""

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from numopt import _dispatch  # noqa: E402

pytest.register_assert_rewrite("oracles")


@dataclass(frozen=True)
class Library:
    """An array library on a device: what a test needs to put numbers there and take them back."""

    name: str
    xp: Any
    device: Any
    floats: tuple[str, ...] = ("float32", "float64")
    indexing: bool = True  # whether functions that return indices work at all

    @property
    def widest(self) -> str:
        """Name of the widest real dtype."""
        return self.floats[-1]

    @property
    def eps(self) -> float:
        """Rounding unit of the widest real dtype."""
        return float(np.finfo(self.widest).eps)

    def asarray(self, x: Any, dtype: str | None = None) -> Any:
        """Return host numbers on the device; floats in the widest dtype unless told otherwise."""
        x = np.asarray(x)
        if dtype is None:
            dtype = self.widest if x.dtype.kind == "f" else x.dtype.name
        if dtype == "int64" and not self.indexing:
            dtype = "int32"
        return self.xp.asarray(x.astype(dtype), device=self.device)

    def holds(self, x: Any, dtype: str) -> bool:
        """Tell whether `x` is an array of this library, on this device, in a dtype."""
        import array_api_compat

        same = array_api_compat.array_namespace(x) is self.xp
        return same and array_api_compat.device(x) == self.device and dtype in str(x.dtype)


def to_numpy(x: Any) -> np.ndarray:
    """Return an array of any library, on any device, as a NumPy array."""
    import array_api_compat

    if array_api_compat.is_numpy_array(x):
        return x
    if array_api_compat.is_cupy_array(x):
        return x.get()
    if array_api_compat.is_torch_array(x):
        return x.cpu().numpy()
    return np.asarray(x._array)  # array_api_strict refuses to convert what is not on its CPU


def _strict(device: str, **facts: Any) -> Library:
    import array_api_compat
    import array_api_strict

    xp = array_api_compat.array_namespace(array_api_strict.asarray(0.0))
    name = "strict" if device == "CPU_DEVICE" else f"strict-{device}"
    return Library(name, xp, array_api_strict.Device(device), **facts)


def _numpy(name: str) -> Library:
    import array_api_compat.numpy

    return Library(name, array_api_compat.numpy, "cpu")


def _torch() -> Library:
    pytest.importorskip("torch", reason="PyTorch is not installed (group backends)")
    import array_api_compat.torch
    import torch

    torch.set_num_threads(1)
    return Library("torch", array_api_compat.torch, torch.device("cpu"))


def _cupy() -> Library:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns on import where it finds no CUDA
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not cupy.is_available():
        pytest.skip("CuPy finds no CUDA device")
    import array_api_compat.cupy

    return Library("cupy", array_api_compat.cupy, cupy.cuda.Device(0))


_NARROW = {"floats": ("float32",)}
LIBRARIES = {
    # NumPy below the sizes from which kernels are compiled, and above.
    "numpy": lambda: _numpy("numpy"),
    "numpy-compiled": lambda: _numpy("numpy-compiled"),
    # Anything outside the standard; arrays created on the wrong device.
    "strict": lambda: _strict("CPU_DEVICE"),
    "strict-device1": lambda: _strict("device1"),
    # Its default float is float32: a creation call without dtype.
    "strict-device2": lambda: _strict("device2"),
    # Hidden float64; hidden int64.
    "strict-no_float64": lambda: _strict("no_float64", **_NARROW),
    "strict-no_x64": lambda: _strict("no_x64", **_NARROW, indexing=False),
    "torch": _torch,
    "cupy": _cupy,
}


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
        monkeypatch.setattr(_dispatch, "size_of", lambda _: size)
    return library


@pytest.fixture
def compiled(monkeypatch):
    """Let NumPy arrays of any size take the compiled kernels."""
    monkeypatch.setattr(_dispatch, "size_of", lambda _: 2**62)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Run compiled kernels on one thread: the workers of pytest-xdist share the cores."""
    import numba

    numba.set_num_threads(1)


@pytest.fixture
def rng():
    """Return the same generator for every test."""
    return np.random.default_rng(0)
