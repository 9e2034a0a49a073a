"""The array libraries the tests run on."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


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
