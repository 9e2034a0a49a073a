"""Which implementation of a kernel runs, and when compiling one is worth it: the whole mechanism.

The reference, written in the Array API, is the kernel. Where the first argument is a NumPy or a
CuPy array of some size, a function of the same name in a backend package may run in its place.

Compiling takes time that a few calls do not pay back. As long as a kernel is not compiled, for the
dtypes at hand, the reference serves and its time is added up; when the sum reaches what compiling
takes, it is compiled. Renting until one has paid the price is never worse than twice the best
choice in hindsight (Karlin, Manasse, Rudolph and Sleator 1988, the ski rental problem).
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache, wraps
from importlib.util import find_spec
from math import prod
from typing import Any, ParamSpec, TypeVar

import numpy as np
from array_api_compat import is_cupy_array, is_numpy_array

PACKAGES = {"numba": "numba_kernels", "cupy": "numopt._cupy_kernels"}
CHOICES = ("auto", "compiled", "reference")
# Seconds it takes to import Numba, and to compile a kernel of which nothing else is recorded.
IMPORT_SECONDS, COMPILE_SECONDS = 0.4, 0.5
# Seconds of compiling in a process after which a line says what the wait is for.
PATIENCE = 1.0

P = ParamSpec("P")
R = TypeVar("R")
Key = tuple[str, str, frozenset[str]]


def backend_of(x: Any) -> str | None:
    """Return the backend package that serves an array, None where only the reference does."""
    if is_numpy_array(x):
        return "numba"
    return "cupy" if is_cupy_array(x) else None


@cache
def find(backend: str, family: str, name: str) -> Callable[..., Any] | None:
    """Return the kernel of a backend; None where it, its family or its compiler is missing.

    A compiler that is there but cannot be imported is as good as missing, and a warning says why.
    """
    module = f"{PACKAGES[backend]}.{family}"
    if not _is_installed(backend) or find_spec(module) is None:
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        _warn_once(backend, str(error))
        return None


@cache
def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


@cache
def _warn_once(backend: str, reason: str) -> None:
    warnings.warn(
        f"numopt runs without compiled kernels, as {backend} cannot be imported: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )


def size_of(first: Any) -> int:
    """Return the number of entries a kernel works on.

    That is the size of its first argument or, for a tuple (X, Y, ...) of point clouds, the
    number of pairs of points.
    """
    if isinstance(first, tuple):
        return int(first[0].shape[0] * first[1].shape[0])
    return prod(first.shape)


def kernel(*, min_size: int, rent: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a reference function a kernel: from `min_size` entries on, a backend may replace it.

    With `rent` the reference serves until compiling has paid; without, for loops over single rows
    that an interpreter takes a hundred times as long for, never.
    """

    def decorate(reference: Callable[P, R]) -> Callable[P, R]:
        family, name = reference.__module__.rpartition(".")[2], reference.__name__

        @wraps(reference)
        def dispatch(*args: P.args, **kwargs: P.kwargs) -> R:
            first: Any = args[0]
            backend = backend_of(first[0] if isinstance(first, tuple) else first)
            if backend is None or size_of(first) < min_size or choice() == "reference":
                return reference(*args, **kwargs)
            if backend == "numba":
                return _served((family, name), reference, rent, args, kwargs)  # type: ignore[no-any-return]
            fast = find(backend, family, name)
            return (reference if fast is None else fast)(*args, **kwargs)

        return dispatch

    return decorate


# --- the choice ---------------------------------------------------------------------------------

_CHOICE: ContextVar[str | None] = ContextVar("numopt_kernels", default=None)


def choice() -> str:
    """Return which kernels run: ``"auto"``, ``"compiled"`` or ``"reference"``."""
    here = _CHOICE.get()
    return _from_environment() if here is None else here


@cache
def _from_environment() -> str:
    named = os.environ.get("NUMOPT_KERNELS", "") or "auto"
    return _checked("NUMOPT_KERNELS", named)


def _checked(name: str, value: str) -> str:
    if value not in CHOICES:
        listed = ", ".join(map(repr, CHOICES))
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")
    return value


@contextmanager
def kernels(choice: str) -> Iterator[None]:
    """Pin which kernels run inside the context.

    Parameters
    ----------
    choice : {"auto", "compiled", "reference"}
        ``"auto"`` compiles a kernel once its reference has run for as long as compiling takes,
        ``"compiled"`` at its first call, ``"reference"`` never. Outside of any context the
        environment variable ``NUMOPT_KERNELS`` decides, and "auto" where there is none.

    Yields
    ------
    None
        The choice holds in this thread, and in what is called from it.

    Raises
    ------
    ValueError
        If `choice` is another word.

    See Also
    --------
    set_num_threads : on how many threads compiled kernels run.

    Notes
    -----
    Pinned, results repeat to the last bit from process to process; otherwise they agree to
    rounding, as it depends on how fast the machine is when a compiled kernel takes over.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> with numopt.kernels("reference"):
    ...     result = numopt.entropic_transport(np.eye(3), reg=0.1)
    >>> result.success
    True
    """
    token = _CHOICE.set(_checked("choice", choice))
    try:
        yield
    finally:
        _CHOICE.reset(token)


# --- ski rental ---------------------------------------------------------------------------------

_rent: dict[Key, float] = {}  # seconds that references have run instead
_compiled: set[Key] = set()
_compiling = threading.RLock()
_spent = 0.0  # seconds of compiling in this process


def _served(
    kernel: tuple[str, str],
    reference: Callable[..., Any],
    rent: bool,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Return what a kernel computes for NumPy arrays, by the version that is worth it."""
    if not _is_installed("numba"):
        return reference(*args, **kwargs)
    plain, dtypes = _plain(args)
    key = *kernel, dtypes
    if key in _compiled:
        fast = find("numba", *kernel)
        return (reference if fast is None else fast)(*plain, **kwargs)
    if rent and choice() == "auto" and _rent.get(key, 0.0) < _price(key):
        begin = time.perf_counter()
        try:
            return reference(*args, **kwargs)
        finally:
            _rent[key] = _rent.get(key, 0.0) + time.perf_counter() - begin
    fast = find("numba", *kernel)
    if fast is None:
        return reference(*args, **kwargs)
    return _first_call(fast, key, plain, kwargs)


def _price(key: Key) -> float:
    """Return the seconds until a compiled kernel could run."""
    from numba_kernels import _cache

    if _cache.is_ready(*key):
        return 0.0
    price = recorded().get(f"{key[0]}.{key[1]}", COMPILE_SECONDS)
    return price if "numba" in sys.modules else price + IMPORT_SECONDS


@cache
def recorded() -> dict[str, float]:
    """Return the seconds that compiling each kernel takes, as they were measured."""
    import json
    from pathlib import Path

    import numba_kernels

    path = Path(numba_kernels.__file__).with_name("compile_seconds.json")
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _first_call(
    fast: Callable[..., Any], key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return what a kernel computes that is compiled, or loaded, for it.

    In a thread of its own, as a compiler does not hear Ctrl-C while the calling thread does.
    """
    from numba_kernels import _cache

    global _spent
    found: list[Any] = []
    done = threading.Lock()
    done.acquire()
    context = copy_context()

    def work() -> None:
        try:
            with _compiling:
                found.append((context.run(fast, *args, **kwargs), None))
        except BaseException as error:
            found.append((None, error))
        finally:
            done.release()

    begin = time.perf_counter()
    threading.Thread(target=work, name="numopt-compile").start()
    if not done.acquire(timeout=max(0.05, PATIENCE - _spent)):
        _say(key, _cache.folder())
        done.acquire()
    _spent += time.perf_counter() - begin
    result, error = found[0]
    if error is not None:
        raise error
    _compiled.add(key)
    _cache.set_ready(*key)
    return result


def compile_ahead(family: str, name: str, args: tuple[Any, ...]) -> bool:
    """Compile a kernel for arguments like these; tell whether there is a compiler."""
    fast = find("numba", family, name)
    if fast is None:
        return False
    plain, dtypes = _plain(args)
    _first_call(fast, (family, name, dtypes), plain, {})
    return True


@cache
def _told() -> list[bool]:
    return []


def _say(key: Key, folder: Any) -> None:
    """Say what the wait is for, once a process."""
    if _told() or os.environ.get("NUMOPT_QUIET", "") not in ("", "0"):
        return
    _told().append(True)
    kept = f"kept in {folder}" if folder else "for this process only: no cache can be written"
    print(  # noqa: T201
        f"numopt: compiling kernels ({key[0]}.{key[1]} now), once and {kept}; "
        "NUMOPT_KERNELS=reference does without, NUMOPT_QUIET=1 hides this line.",
        file=sys.stderr,
        flush=True,
    )


class _Memory:
    """The memory of an array that may not be written to, as an array that may."""

    __slots__ = ("__array_interface__", "array")

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = interface["data"][0], False
        self.__array_interface__ = interface


def _plain(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], frozenset[str]]:
    """Return arguments as kernels are compiled for, and the dtypes that are.

    Arrays are in C order and may be written to: kernels never write to one, but that they may is
    part of the type, for which all would be compiled again.
    """
    made, dtypes = [], set()
    for x in args:
        if isinstance(x, np.ndarray):
            dtypes.add(x.dtype.char)
            if not x.flags.c_contiguous:
                x = np.ascontiguousarray(x)
            elif not x.flags.writeable:
                x = np.asarray(_Memory(x))
        elif isinstance(x, tuple):
            x, inner = _plain(x)
            dtypes |= inner
        made.append(x)
    return tuple(made), frozenset(dtypes)
