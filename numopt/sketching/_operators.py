"""Random embeddings of the row space, as operators."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat.numpy as host

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator, place
from .._core.settings import index_dtype, is_sparse
from .._kernels import sketching as kernels
from ._hadamard import padded_length

Rng = Any


class Sketch:
    """Base of the operators: a random m by n matrix S with ``E[S' S] = I``.

    Parameters
    ----------
    m : int
        Rows of the sketch.
    n : int
        Rows of what is sketched.

    Attributes
    ----------
    shape : tuple of int
        ``(m, n)``: rows of the sketch, rows of what is sketched.
    """

    shape: tuple[int, int]

    def __init__(self, m: Any, n: Any) -> None:
        self.shape = (validate.at_least_one("m", m), validate.at_least_one("n", n))

    def __repr__(self) -> str:
        """Return the kind of the operator and its shape."""
        return f"{type(self).__name__}({', '.join(map(str, self.shape))}{self._options()})"

    def _options(self) -> str:
        """Return what else an operator was made with, for its text."""
        return ""

    def apply(self, A: Array) -> Array:
        """Return ``S @ A`` for an array A of shape (n,) or (n, d)."""
        A = operand("A", A, self.shape[1], "n")
        if A.ndim == 1:
            return self.apply(A[:, None])[:, 0]
        empty = A[:, :0]
        return self.partial(A, empty, None, 0)

    def adjoint(self, Y: Array) -> Array:
        """Return ``S.T @ Y`` for an array Y of shape (m,) or (m, k)."""
        Y = operand("Y", Y, self.shape[0], "m")
        return self._adjoint(Y) if Y.ndim == 2 else self._adjoint(Y[:, None])[:, 0]

    def to_dense(self) -> Array:
        """Return S as a NumPy array in float64, O(m n) memory."""
        return self.apply(host.eye(self.shape[1]))

    def partial(self, A: Array, B: Array, scale: Array | None, offset: int) -> Array:
        """Return the share of rows offset, offset + 1, ... in ``S diag(scale) [A B]``."""
        raise NotImplementedError

    def _adjoint(self, Y: Array) -> Array:
        raise NotImplementedError


class _KeyedSketch(Sketch):
    """A sketch with some random numbers for each row of what is sketched.

    They are drawn for `PIECE` rows at a time, by a generator of its own for each piece, whenever
    they are needed: the same ones however the rows come in blocks and on whichever machine, and
    without memory that grows with n.
    """

    PIECE = 1 << 16

    def __init__(self, m: Any, n: Any, draw: Any) -> None:
        super().__init__(m, n)
        self._seed = [int(k) for k in draw.integers(2**32, size=4)]
        self._last: tuple[int, Any] = (-1, None)

    def _draw(self, generator: Any, size: int) -> tuple[Any, ...]:
        """Return what one piece needs, as host arrays of `size` rows."""
        raise NotImplementedError

    def _drawn(self, rows: slice) -> tuple[Any, ...]:
        """Return the numbers of a range of rows."""
        found = []
        for index in range(rows.start // self.PIECE, -(-rows.stop // self.PIECE)):
            first = index * self.PIECE
            low, high = max(rows.start - first, 0), min(rows.stop - first, self.PIECE)
            found.append([numbers[low:high] for numbers in self._piece(index)])
        return tuple(
            parts[0] if len(parts) == 1 else host.concat(parts)
            for parts in zip(*found, strict=True)
        )

    def _piece(self, index: int) -> Any:
        last, numbers = self._last
        if last != index:
            size = min(self.PIECE, self.shape[1] - index * self.PIECE)
            numbers = self._draw(host.random.default_rng([*self._seed, index]), size)
            self._last = index, numbers
        return numbers

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to another process: keys, not numbers."""
        return {**self.__dict__, "_last": (-1, None)}


class SRHT(_KeyedSketch):
    r"""Subsampled randomized Hadamard transform.

    .. math:: S = \frac{1}{\sqrt m} R H D,

    with D random signs, H the Hadamard matrix of the next power of two N >= n (entries +-1) and R a
    choice of m of its rows.

    Parameters
    ----------
    m : int
        Rows of the sketch; without replacement at most N.
    n : int
        Rows of what is sketched.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the signs and the rows.
    replace : bool, default True
        Whether a row of H may be chosen twice. Without replacement errors are smaller where m is
        not small next to N, and S has exactly orthogonal rows.

    Attributes
    ----------
    shape : tuple of int
        ``(m, n)``.
    signs : numpy.ndarray, shape (n,)
        Diagonal of D, int8.
    rows : numpy.ndarray, shape (m,)
        Indices of the rows of H.

    See Also
    --------
    SparseSign : cheaper where A is sparse.

    Notes
    -----
    ``apply`` reads A once, block by block, and makes no copy of it: every block of 4096 rows is
    transformed in the cache, and each sampled row of H takes plus or minus one row of it. The cost
    is n d (12 + m / 4096) additions.

    The sketch keeps every coordinate of a least squares solution accurate, not only its norm [1]_.

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(1000, 3))
    >>> S = numopt.sketching.SRHT(200, 1000, rng=0)
    >>> sketched = S.apply(A)
    >>> sketched.shape
    (200, 3)
    >>> bool(np.allclose(sketched.T @ sketched, A.T @ A, rtol=0.5, atol=200))
    True
    """

    def __init__(self, m: int, n: int, *, rng: Rng = None, replace: bool = True) -> None:
        draw = generator(rng)
        super().__init__(m, n, draw)
        m, n = self.shape
        self._length, self._replace = padded_length(n), replace
        if not replace and m > self._length:
            raise ValueError(
                f"`m` must be at most {self._length} without replacement, got {m}: the transform "
                f"of {n} rows has no more."
            )
        if replace:
            self.rows = draw.integers(self._length, size=m)
        else:
            self.rows = draw.permutation(self._length)[:m]

    def _draw(self, generator: Any, size: int) -> tuple[Any, ...]:
        return (random_signs(generator, size),)

    def _options(self) -> str:
        return "" if self._replace else ", replace=False"

    @property
    def signs(self) -> Any:
        """The diagonal of D."""
        return self._drawn(slice(0, self.shape[1]))[0]

    def partial(self, A: Array, B: Array, scale: Array | None, offset: int) -> Array:
        (signs,) = self._drawn(slice(offset, offset + A.shape[0]))
        factors = place(signs / math.sqrt(self.shape[0]), A)
        if scale is not None:
            factors = factors * scale
        rows = place(self.rows, A, index_dtype(A))
        return kernels.srht_apply(A, B, factors, rows, offset)

    def _adjoint(self, Y: Array) -> Array:
        m, n = self.shape
        ones = place(host.ones((m, 1)), Y)
        rows = place(self.rows[:, None], Y, index_dtype(Y))
        spread = kernels.sparse_embedding_apply(Y, Y[:, :0], rows, ones, self._length)
        signs = place(self.signs / math.sqrt(m), Y)
        return kernels.fwht_rows(spread)[:n, :] * signs[:, None]


class SparseSign(_KeyedSketch):
    r"""Sparse sign embedding: `nnz` random signs over ``sqrt(nnz)`` in every column of S.

    Parameters
    ----------
    m : int
        Rows of the sketch.
    n : int
        Rows of what is sketched.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the places and the signs.
    nnz : int, default 8
        Entries of each column, at most m.

    Attributes
    ----------
    shape : tuple of int
        ``(m, n)``.
    buckets : numpy.ndarray, shape (n, nnz)
        Rows of S in which the entries of each column are; one may come twice, and adds up.
    signs : numpy.ndarray, shape (n, nnz)
        Their signs, int8.

    See Also
    --------
    CountSketch : the case of one entry.
    SRHT : has a guarantee for every coordinate.

    Notes
    -----
    ``apply`` takes ``nnz`` multiplications an entry of A; a sparse A stays sparse until it is
    summed, so that the cost is nnz times the number of its entries.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> S = numopt.sketching.SparseSign(20, 100, rng=0, nnz=4)
    >>> bool(np.allclose((S.to_dense() ** 2).sum(axis=0).mean(), 1.0, atol=0.2))
    True
    """

    def __init__(self, m: int, n: int, *, rng: Rng = None, nnz: int = 8) -> None:
        super().__init__(m, n, generator(rng))
        self._nnz = validate.at_least_one("nnz", nnz)
        if self._nnz > self.shape[0]:
            raise ValueError(f"`nnz` must be at most `m` = {self.shape[0]}, got {nnz}.")

    def _draw(self, generator: Any, size: int) -> tuple[Any, ...]:
        shape = size, self._nnz
        return generator.integers(self.shape[0], size=shape), random_signs(generator, shape)

    def _options(self) -> str:
        return f", nnz={self._nnz}"

    @property
    def buckets(self) -> Any:
        """Rows of S in which the entries of each column are."""
        return self._drawn(slice(0, self.shape[1]))[0]

    @property
    def signs(self) -> Any:
        """The signs of the entries of each column."""
        return self._drawn(slice(0, self.shape[1]))[1]

    def apply(self, A: Array) -> Array:
        """Return ``S @ A`` for an array, or a sparse matrix, of shape (n, d), or a vector (n,).

        The sketch of a sparse matrix is an array.
        """
        if is_sparse(A):
            return self._sparse(A)
        return super().apply(A)

    def _sparse(self, A: Any) -> Array:
        if A.shape[0] != self.shape[1]:
            raise ValueError(
                f"`A` must have {self.shape[1]} rows to match `n`, got shape {A.shape}."
            )
        A = A.tocsr()
        data = A.data
        drawn, signs = self._drawn(slice(0, self.shape[1]))
        buckets = place(drawn, data, index_dtype(data))
        values = place(signs / math.sqrt(self._nnz), data)
        m, d = self.shape[0], int(A.shape[1])
        return kernels.sparse_embedding_apply_csr(data, A.indices, A.indptr, buckets, values, m, d)

    def partial(self, A: Array, B: Array, scale: Array | None, offset: int) -> Array:
        drawn, signs = self._drawn(slice(offset, offset + A.shape[0]))
        values = place(signs / math.sqrt(self._nnz), A)
        if scale is not None:
            values = values * scale[:, None]
        buckets = place(drawn, A, index_dtype(A))
        return kernels.sparse_embedding_apply(A, B, buckets, values, self.shape[0])

    def _adjoint(self, Y: Array) -> Array:
        xp = array_namespace(Y)
        total = xp.zeros((self.shape[1], Y.shape[1]), dtype=Y.dtype, device=device_of(Y))
        buckets, signs = self._drawn(slice(0, self.shape[1]))
        for z in range(self._nnz):
            index = place(buckets[:, z], Y, index_dtype(Y))
            values = place(signs[:, z] / math.sqrt(self._nnz), Y)
            total = total + xp.take(Y, index, axis=0) * values[:, None]
        return total


class CountSketch(SparseSign):
    """CountSketch: one random sign in every column of S, the cheapest embedding.

    It preserves norms, so that the residual of a sketched least squares problem is nearly the
    smallest; it has **no guarantee for single coordinates** of the solution. Where two heavy rows
    fall into one bucket, the whole error lands on one coordinate.

    Parameters
    ----------
    m : int
        Rows of the sketch; d^2 of them for a d-dimensional space.
    n : int
        Rows of what is sketched.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the places and the signs.

    Attributes
    ----------
    shape : tuple of int
        ``(m, n)``.

    See Also
    --------
    SRHT : has a guarantee for every coordinate.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> S = numopt.sketching.CountSketch(20, 100, rng=0)
    >>> bool((np.count_nonzero(S.to_dense(), axis=0) == 1).all())
    True
    """

    def __init__(self, m: int, n: int, *, rng: Rng = None) -> None:
        super().__init__(m, n, rng=rng, nnz=1)

    def _options(self) -> str:
        return ""


class Gaussian(Sketch):
    """Gaussian embedding: independent normal entries of variance 1 / m.

    Parameters
    ----------
    m : int
        Rows of the sketch.
    n : int
        Rows of what is sketched.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the entries; 128 bits of it are used.

    Attributes
    ----------
    shape : tuple of int
        ``(m, n)``.

    See Also
    --------
    SRHT : as accurate at a fraction of the cost.

    Notes
    -----
    The entries are drawn again, 4096 columns at a time, whenever they are needed, and never stored.
    ``apply`` takes 2 m n d flops and m n normal numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> S = numopt.sketching.Gaussian(50, 1000, rng=0)
    >>> x = np.ones(1000)
    >>> bool(abs(np.sum(S.apply(x) ** 2) / 1000 - 1) < 0.8)
    True
    """

    BLOCK = 4096

    def __init__(self, m: int, n: int, *, rng: Rng = None) -> None:
        super().__init__(m, n)
        self._seed = [int(k) for k in generator(rng).integers(2**32, size=4)]

    def _columns(self, block: int) -> Any:
        """Return the columns of a block of S, as host numbers (m, BLOCK)."""
        draw = host.random.default_rng([*self._seed, block])
        return draw.standard_normal((self.shape[0], self.BLOCK)) / math.sqrt(self.shape[0])

    def partial(self, A: Array, B: Array, scale: Array | None, offset: int) -> Array:
        xp = array_namespace(A)
        n, width = A.shape[0], A.shape[1] + B.shape[1]
        total = xp.zeros((self.shape[0], width), dtype=A.dtype, device=device_of(A))
        for block in range(offset // self.BLOCK, (offset + n - 1) // self.BLOCK + 1):
            low = max(block * self.BLOCK, offset)
            high = min((block + 1) * self.BLOCK, offset + n)
            columns = self._columns(block)[:, low % self.BLOCK :][:, : high - low]
            rows = slice(low - offset, high - offset)
            part = xp.concat((A[rows, :], B[rows, :]), axis=1)
            if scale is not None:
                part = part * scale[rows][:, None]
            total = total + xp.matmul(place(columns, A), part)
        return total

    def _adjoint(self, Y: Array) -> Array:
        xp = array_namespace(Y)
        count = -(-self.shape[1] // self.BLOCK)
        parts = [xp.matmul(place(self._columns(block), Y).T, Y) for block in range(count)]
        return xp.concat(parts, axis=0)[: self.shape[1], :]


def random_signs(generator: Any, shape: Any) -> Any:
    """Return random signs as int8."""
    return (2 * generator.integers(2, size=shape, dtype="int8") - 1).astype("int8")


def operand(name: str, x: Any, length: int, of: str) -> Array:
    """Return what an operator is applied to, validated: a vector or matrix of some length."""
    (x,) = validate.arrays(**{name: x})
    dtype = validate.common_float(**{name: x})
    x = validate.as_array(name, x, ndim=(1, 2), dtype=dtype)
    if x.shape[0] != length:
        raise ValueError(
            f"`{name}` must have {length} rows to match `{of}`, got shape {tuple(x.shape)}."
        )
    return x
