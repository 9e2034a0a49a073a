"""The subsampled Hadamard transform of a tensor product, factor by factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator, place
from .._core.settings import index_dtype
from .._kernels import sketching as kernels
from ._hadamard import padded_length
from ._operators import Rng, Sketch, operand, random_signs


class TensorSRHT(Sketch):
    r"""Subsampled randomized Hadamard transform of vectors with a tensor structure.

    .. math:: S = \frac{1}{\sqrt m} R \, (H D_1 \otimes \dots \otimes H D_q),

    with independent random signs for each factor and R a choice of m of the rows. A matrix with a
    Kronecker or Khatri-Rao structure is sketched from its factors and never formed.

    Parameters
    ----------
    m : int
        Rows of the sketch.
    dims : sequence of int
        Lengths n_1, ..., n_q of the factors; a vector of ``prod(dims)`` entries is read as a tensor
        in C order.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the signs and the rows.

    Attributes
    ----------
    shape : tuple of int
        ``(m, prod(dims))``.
    dims : tuple of int
        Lengths of the factors.
    signs : list of numpy.ndarray
        Diagonals of D_1, ..., D_q, int8.
    rows : list of numpy.ndarray, each of shape (m,)
        For each factor, the index into its Hadamard matrix of every row of S.

    See Also
    --------
    SRHT : the case of one factor.

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A1, A2 = rng.normal(size=(30, 2)), rng.normal(size=(40, 3))
    >>> S = numopt.sketching.TensorSRHT(100, (30, 40), rng=0)
    >>> bool(np.allclose(S.apply_kron([A1, A2]), S.apply(np.kron(A1, A2))))
    True
    """

    def __init__(self, m: int, dims: Sequence[int], *, rng: Rng = None) -> None:
        if not isinstance(dims, Sequence) or not dims:
            raise TypeError(f"`dims` must be a sequence of integers, got {dims!r}.")
        self.dims = tuple(validate.at_least_one("dims", n) for n in dims)
        super().__init__(m, math.prod(self.dims))
        draw = generator(rng)
        self.signs, self.rows = [], []
        for n in self.dims:
            self.signs.append(random_signs(draw, n))
            self.rows.append(draw.integers(padded_length(n), size=self.shape[0]))

    def __repr__(self) -> str:
        """Return the kind of the operator and its lengths."""
        return f"TensorSRHT({self.shape[0]}, {self.dims})"

    def apply_kron(self, factors: Sequence[Array]) -> Array:
        """Return ``S @ (A_1 kron ... kron A_q)`` for factors A_j (n_j, d_j): (m, prod d_j).

        Takes sum n_j d_j log n_j + m prod d_j operations.
        """
        return reduce(_row_products, self._transformed(factors)) / math.sqrt(self.shape[0])

    def apply_khatri_rao(self, factors: Sequence[Array]) -> Array:
        """Return ``S @ A`` for the A (prod n_j, d) with columns ``a_1 kron ... kron a_q``: (m, d).

        `factors` A_j (n_j, d) hold the columns a_j. Takes sum n_j d log n_j + q m d operations.
        """
        parts = self._transformed(factors)
        if len({part.shape[1] for part in parts}) > 1:
            columns = [part.shape[1] for part in parts]
            raise ValueError(f"`factors` must have the same number of columns, got {columns}.")
        return reduce(lambda a, b: a * b, parts) / math.sqrt(self.shape[0])

    def _transformed(self, factors: Sequence[Array]) -> list[Array]:
        """Return the sampled rows of ``H D_j A_j``, for each factor."""
        if len(factors) != len(self.dims):
            raise ValueError(
                f"`factors` must hold {len(self.dims)} matrices to match `dims`, "
                f"got {len(factors)}."
            )
        parts = []
        made = validate.arrays(**{f"factors[{j}]": A for j, A in enumerate(factors)})
        for j, (A, n) in enumerate(zip(made, self.dims, strict=True)):
            A = operand(f"factors[{j}]", A, n, "dims")
            if A.ndim != 2:
                raise ValueError(f"`factors[{j}]` must be a matrix, got shape {tuple(A.shape)}.")
            signs = place(self.signs[j], A)
            rows = place(self.rows[j], A, index_dtype(A))
            parts.append(kernels.srht_apply(A, A[:, :0], signs, rows, 0))
        return parts

    def partial(self, A: Array, B: Array, scale: Array | None, offset: int) -> Array:
        if offset != 0 or A.shape[0] != self.shape[1]:
            raise ValueError("A tensor sketch takes a matrix as a whole, not in blocks of rows.")
        xp = array_namespace(A)
        tensor = xp.concat((A, B), axis=1)
        if scale is not None:
            tensor = tensor * scale[:, None]
        index = place(self._flat_rows(), A, index_dtype(A))
        return xp.take(self._transform(tensor, self.dims), index, axis=0) / math.sqrt(self.shape[0])

    def _flat_rows(self) -> Any:
        """Return the sampled rows as indices into the flattened, padded tensor."""
        flat: Any = 0
        for n, rows in zip(self.dims, self.rows, strict=True):
            flat = flat * padded_length(n) + rows
        return flat

    def _transform(self, X: Array, dims: Sequence[int]) -> Array:
        """Return ``(H D_1 kron ... kron H D_q) X`` of padded length, for X (prod dims, w)."""
        xp, width = array_namespace(X), X.shape[1]
        for n, signs in zip(dims, self.signs, strict=True):
            # The first axis is transformed and moved to the end; after q turns all are in place.
            X = xp.reshape(X, (n, X.shape[0] // n * width)) * place(signs, X)[:, None]
            missing = padded_length(n) - n
            zeros = xp.zeros((missing, X.shape[1]), dtype=X.dtype, device=device_of(X))
            X = kernels.fwht_rows(xp.concat((X, zeros), axis=0))
            rest = X.shape[1] // width
            X = xp.permute_dims(xp.reshape(X, (X.shape[0], rest, width)), (1, 0, 2))
            X = xp.reshape(X, (X.shape[0] * X.shape[1], width))
        return X

    def _adjoint(self, Y: Array) -> Array:
        xp = array_namespace(Y)
        lengths = [padded_length(n) for n in self.dims]
        index = place(self._flat_rows()[:, None], Y, index_dtype(Y))
        ones = xp.ones((self.shape[0], 1), dtype=Y.dtype, device=device_of(Y))
        X = kernels.sparse_embedding_apply(Y, Y[:, :0], index, ones, math.prod(lengths))
        width = Y.shape[1]
        for n, length, signs in zip(self.dims, lengths, self.signs, strict=True):
            X = kernels.fwht_rows(xp.reshape(X, (length, X.shape[0] // length * width)))
            X = X[:n, :] * place(signs, X)[:, None]
            X = xp.permute_dims(xp.reshape(X, (n, X.shape[1] // width, width)), (1, 0, 2))
            X = xp.reshape(X, (X.shape[0] * X.shape[1], width))
        return X / math.sqrt(self.shape[0])


def _row_products(left: Array, right: Array) -> Array:
    """Return the Kronecker product of corresponding rows."""
    xp = array_namespace(left)
    products = left[:, :, None] * right[:, None, :]
    return xp.reshape(products, (left.shape[0], left.shape[1] * right.shape[1]))
