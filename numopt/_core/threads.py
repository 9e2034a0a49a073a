"""On how many threads compiled kernels run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from numba_kernels import _pool


def get_num_threads() -> int:
    """Return how many threads compiled kernels run on when they are called from here.

    Returns
    -------
    int
        What `num_threads` or `set_num_threads` said last; else the environment variable
        ``NUMOPT_NUM_THREADS``; else the cores this process may use.

    Raises
    ------
    ValueError
        If ``NUMOPT_NUM_THREADS`` is no positive integer.

    See Also
    --------
    set_num_threads : changes it.

    Examples
    --------
    >>> import numopt
    >>> numopt.get_num_threads() >= 1
    True
    """
    return _pool.get_num_threads()


def set_num_threads(threads: int) -> None:
    """Let compiled kernels of this process run on some number of threads.

    Parameters
    ----------
    threads : int
        At least 1. Results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not an integer, or less than 1.

    See Also
    --------
    num_threads : for a part of a program.

    Examples
    --------
    >>> import numopt
    >>> before = numopt.get_num_threads()
    >>> numopt.set_num_threads(1)
    >>> numopt.get_num_threads()
    1
    >>> numopt.set_num_threads(before)
    """
    _pool.set_num_threads(threads)


@contextmanager
def num_threads(threads: int) -> Iterator[None]:
    """Let compiled kernels that are called inside the context run on some number of threads.

    Parameters
    ----------
    threads : int
        At least 1. Results do not depend on it.

    Yields
    ------
    None
        The number holds in this thread only.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not an integer, or less than 1.

    See Also
    --------
    set_num_threads : for a whole process.

    Examples
    --------
    >>> import numopt
    >>> with numopt.num_threads(2):
    ...     numopt.get_num_threads()
    2
    """
    with _pool.num_threads(threads):
        yield
