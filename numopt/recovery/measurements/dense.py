"""Linear measurements by dense matrices: stored, or drawn anew whenever they are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of
from ..._core.random import place
from ..._core.settings import index_dtype
from ..._kernels.recovery import l1_sense_fused
from .operators import Direction, FormedDirection, FormedSensing


class Packing(NamedTuple):
    """How a symmetric matrix is packed: where its upper triangle is, and back."""

    upper: Array  # (D,) places of the upper triangle in the flat matrix
    doubled: Array  # (D,) 2 off the diagonal, 1 on it
    places: Array  # (d * d,) place of each entry of the flat matrix in the packed vector


def packing(d: int, like: Array) -> Packing:
    """Return how symmetric d by d matrices are packed as arrays of the kind of `like`."""
    xp, integers, device = array_namespace(like), index_dtype(like), device_of(like)
    upper = [d * i + j for i in range(d) for j in range(i, d)]
    upper = xp.asarray(upper, dtype=integers, device=device)
    on_diagonal = xp.astype(upper % (d + 1) == 0, like.dtype)
    i = xp.arange(d, dtype=integers, device=device)
    low, high = xp.minimum(i[:, None], i[None, :]), xp.maximum(i[:, None], i[None, :])
    places = low * d - low * (low - 1) // 2 + high - low
    return Packing(upper, 2 - on_diagonal, xp.reshape(places, (-1,)))


# Numbers of a block that is unpacked or drawn at once.
BLOCK_ENTRIES = 1 << 21


class BlockSensing(FormedSensing):
    """Dense measurement matrices that come in blocks of rows, symmetric ones packed."""

    def __init__(self, shape: tuple[int, int], m: int, symmetric: bool, like: Array) -> None:
        self.shape, self.m, self.symmetric, self.like = shape, m, symmetric, like
        self._packing = packing(shape[0], like) if symmetric else None

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield consecutive ranges of measurements and their matrices, flat or packed."""
        raise NotImplementedError

    def _flat(self, U: Array, V: Array) -> Array:
        """Return U V' as the vector the rows of a block are multiplied with."""
        xp = array_namespace(U)
        X = xp.matmul(U, V.T)
        if self._packing is None:
            return xp.reshape(X, (-1,))
        X = xp.reshape((X + X.T) / 2, (-1,))
        return xp.take(X, self._packing.upper) * self._packing.doubled

    def _matrix(self, g: Array) -> Array:
        """Return the matrix (d1, d2) that a flat or packed vector stands for."""
        xp = array_namespace(g)
        return xp.reshape(
            g if self._packing is None else xp.take(g, self._packing.places), self.shape
        )

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        xp, z = array_namespace(U), self._flat(U, V)
        parts = [xp.matmul(block, z) for _, block in self.blocks()]
        return xp.concat(parts) if len(parts) > 1 else parts[0]

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        xp = array_namespace(s)
        total = None
        for rows, block in self.blocks():
            part = xp.matmul(block.T, s[rows])
            total = part if total is None else total + part
        return self._matrix(total)

    def sense(self, U: Array, V: Array, y: Array, weights: Array) -> tuple[Array, Direction]:
        """Return the residual and its subgradient in one pass over the measurements."""
        xp, z = array_namespace(U), self._flat(U, V)
        parts, total = [], None
        for rows, block in self.blocks():
            residual, g = l1_sense_fused(block, z, y[rows], weights[rows])
            parts.append(residual)
            total = g if total is None else total + g
        residual = xp.concat(parts) if len(parts) > 1 else parts[0]
        return residual, FormedDirection(self._matrix(total))

    def tangent_matrix(self, Q: Array) -> Array | None:
        """Return the matrix of ``Z -> <A_i, Q Z' + Z Q'>`` (m, d k) for symmetric matrices."""
        if self._packing is None:
            return None
        xp, (d, k) = array_namespace(Q), Q.shape
        height = max(1, BLOCK_ENTRIES // (d * d))
        parts = []
        for _, block in self.blocks():
            for start in range(0, block.shape[0], height):
                chunk = block[start : min(block.shape[0], start + height), :]
                matrices = xp.reshape(xp.take(chunk, self._packing.places, axis=1), (-1, d, d))
                parts.append(xp.reshape(2 * xp.matmul(matrices, Q), (-1, d * k)))
        return xp.concat(parts) if len(parts) > 1 else parts[0]


class DenseSensing(BlockSensing):
    """Measurements by matrices that are stored.

    Parameters
    ----------
    A : array, shape (m, d1, d2)
        The matrices, float32, float64 or integers.
    symmetric : bool, default True
        Whether X is symmetric. Only the symmetric parts of the A_i then matter, and only their
        upper triangles are stored: half the memory, half the time. Needs d1 = d2.

    Attributes
    ----------
    shape : tuple of int
        Shape (d1, d2) of the matrices.
    m : int
        Number of measurements.
    symmetric : bool
        As given.
    matrix : array, shape (m, D)
        The matrices, one a row; D is d1 d2, or d (d + 1) / 2 of upper triangles.
    nbytes : int
        Memory of `matrix`.

    See Also
    --------
    SeededGaussianSensing : Gaussian matrices that are not stored.
    RankOneSensing : measurements that take vectors only.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(50, 4, 4))
    >>> operator = numopt.recovery.DenseSensing(A)
    >>> operator.matrix.shape
    (50, 10)
    >>> u = np.ones((4, 1))
    >>> bool(np.allclose(operator.forward(u, u), A.sum(axis=(1, 2))))
    True
    """

    def __init__(self, A: Array, symmetric: bool = True) -> None:
        (A,) = validate.arrays(A=A)
        dtype = validate.common_float(A=A)
        A = validate.finite("A", validate.as_array("A", A, ndim=3, dtype=dtype))
        m, d1, d2 = A.shape
        if symmetric and d1 != d2:
            raise ValueError(f"`A` must hold square matrices if symmetric=True, got {d1} by {d2}.")
        super().__init__((d1, d2), m, symmetric, A[:0, 0, 0])
        xp = array_namespace(A)
        width = d1 * d2 if self._packing is None else d1 * (d1 + 1) // 2
        self.nbytes = m * width * (8 if dtype == xp.float64 else 4)
        _fits(self.nbytes)
        if self._packing is None:
            self.matrix = xp.reshape(A, (m, d1 * d2))
        else:
            self.matrix = xp.concat([self._packed(A[rows, :, :]) for rows in _chunks(m, d1 * d2)])

    def _packed(self, A: Array) -> Array:
        xp, d = array_namespace(A), A.shape[1]
        flat = xp.reshape((A + xp.permute_dims(A, (0, 2, 1))) / 2, (A.shape[0], d * d))
        return xp.take(flat, self._packing.upper, axis=1)  # type: ignore[union-attr]

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield all measurements at once."""
        yield slice(0, self.m), self.matrix


class SeededGaussianSensing(BlockSensing):
    """Gaussian measurements drawn anew, the same ones, whenever they are needed.

    Parameters
    ----------
    m : int
        Number of measurements.
    d : int
        Rows and columns of X.
    seed : int, default 0
        Seed of the matrices. Block b of them is drawn from the counter-based generator Philox with
        the key (seed, b), so that any block can be drawn without those before it.
    like : array
        An array of the library, device and dtype wanted.
    symmetric : bool, default True
        Whether X is symmetric; the A_i are then the symmetric parts of Gaussian matrices.
    chunk : int, optional
        Measurements drawn at once. Default: about 16 MB of numbers. Another chunk draws other
        matrices.

    Attributes
    ----------
    shape : tuple of int
        ``(d, d)``.
    m : int
        Number of measurements.
    symmetric : bool
        As given.
    nbytes : int
        Memory of one block, O(chunk d^2).

    See Also
    --------
    DenseSensing : the same, stored.

    Notes
    -----
    A pass costs the drawing of m d^2 / 2 normal numbers, about ten times what reading them from
    memory would: use it where they do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> operator = numopt.recovery.SeededGaussianSensing(40, 5, seed=1, like=np.empty(0))
    >>> u = np.ones((5, 1))
    >>> stored = numopt.recovery.DenseSensing(operator.to_dense())
    >>> bool(np.allclose(operator.forward(u, u), stored.forward(u, u), rtol=1e-12))
    True
    """

    def __init__(
        self,
        m: Any,
        d: Any,
        seed: Any = 0,
        *,
        like: Array,
        symmetric: bool = True,
        chunk: Any = None,
    ) -> None:
        m, d, self.seed = (validate.count(*item) for item in (("m", m), ("d", d), ("seed", seed)))
        if m == 0 or d == 0:
            raise ValueError(f"`m` and `d` must be positive, got {m} and {d}.")
        (like,) = validate.arrays(like=like)
        validate.common_float(like=like)
        super().__init__((d, d), m, symmetric, like)
        self._width = d * (d + 1) // 2 if symmetric else d * d
        default = max(1, BLOCK_ENTRIES // self._width)
        self.chunk = min(m, default if chunk is None else max(1, validate.count("chunk", chunk)))
        itemsize = 8 if like.dtype == array_namespace(like).float64 else 4
        self.nbytes = self.chunk * self._width * itemsize

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield the measurements block by block, drawing them."""
        xp = array_namespace(self.like)
        for block, start in enumerate(range(0, self.m, self.chunk)):
            rows = slice(start, min(self.m, start + self.chunk))
            drawn = place(self._drawn(block, rows.stop - start), self.like)
            if self._packing is not None:
                # Off the diagonal the mean of two normal numbers: a variance of one half.
                drawn = drawn / xp.sqrt(self._packing.doubled)
            yield rows, drawn

    def _drawn(self, block: int, count: int) -> Any:
        from numpy.random import Generator, Philox  # noqa: TID251 - drawn on the host

        return Generator(Philox(key=[self.seed, block])).normal(size=(count, self._width))

    def to_dense(self) -> Array:
        """Return the matrices, array (m, d, d)."""
        xp = array_namespace(self.like)
        parts = []
        for _, block in self.blocks():
            if self._packing is not None:
                block = xp.take(block, self._packing.places, axis=1)
            parts.append(xp.reshape(block, (-1, *self.shape)))
        return xp.concat(parts) if len(parts) > 1 else parts[0]


def available_memory() -> float:
    """Return the bytes of memory that are free, infinite where the system does not tell."""
    import os

    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _fits(nbytes: int) -> None:
    """Raise unless packed matrices of a size fit into memory."""
    if nbytes > available_memory():
        raise ValueError(
            f"`A` needs {nbytes / 1e9:.2g} GB of memory once packed, more than is free; "
            "SeededGaussianSensing and RankOneSensing take less."
        )


def _chunks(m: int, width: int) -> list[slice]:
    height = max(1, BLOCK_ENTRIES // width)
    return [slice(start, min(m, start + height)) for start in range(0, m, height)]
