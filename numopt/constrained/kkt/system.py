"""The system ``[[H + p I, G'], [G, -d I]]`` of a Newton step, in each of its formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..._core.namespace import Array, array_namespace, device_of
from ..._core.settings import is_sparse
from .._differences import columns_of_entries
from .._matrices import LowRank, is_operator, largest
from .factor import Factor, sparse_factor, symmetric_factor

# Entered below in a sparse system, so that its pivots can stay on the diagonal; refined away.
SPARSE_SHIFT = 1e-9
_REFINEMENTS = 5


class Blocks:
    """What all formats have in common: the product by blocks; those with entries have factors."""

    def __init__(self, H: Any, G: Any) -> None:
        self.H, self.G = H, G
        self.m, self.n = G.shape

    def product(self, v: Array, primal_shift: float, dual_shift: float) -> Array:
        """Return the product with the shifted matrix."""
        xp = array_namespace(v)
        top, bottom = v[: self.n], v[self.n :]
        above = self.H @ top + primal_shift * top
        if not self.m:
            return above
        return xp.concat([above + self.G.T @ bottom, self.G @ top - dual_shift * bottom])

    def factor(self, primal_shift: float, dual_shift: float) -> Factor | None:
        """Return the factor of the shifted matrix, None if it is singular."""
        raise NotImplementedError


class DenseKkt(Blocks):
    """A dense system."""

    def __init__(self, H: Array, G: Array) -> None:
        super().__init__(H, G)
        self.matrix = kkt_assemble(H, G)

    def factor(self, primal_shift: float, dual_shift: float) -> Factor:
        """Return the factor of the shifted matrix."""
        return symmetric_factor(self.shifted(primal_shift, dual_shift))

    def shifted(self, primal_shift: float, dual_shift: float) -> Array:
        """Return the shifted matrix as a new array."""
        xp, K = array_namespace(self.matrix), self.matrix
        N = self.n + self.m
        if primal_shift == 0 and dual_shift == 0:
            return xp.asarray(K, copy=True)
        shifts = xp.full((N,), primal_shift, dtype=K.dtype, device=device_of(K))
        shifts[self.n :] = -dual_shift
        return K + xp.eye(N, dtype=K.dtype, device=device_of(K)) * shifts


def kkt_assemble(H: Array, G: Array) -> Array:
    """Return ``[[H, G'], [G, 0]]`` (n + m, n + m)."""
    xp = array_namespace(H)
    m, n = G.shape
    K = xp.zeros((n + m, n + m), dtype=H.dtype, device=device_of(H))
    K[:n, :n] = H
    K[n:, :n] = G
    K[:n, n:] = G.T
    return K


class SparsePattern(NamedTuple):
    """Where the entries of H, G, G' and the diagonal go in the CSC matrix of the system."""

    source: tuple[Array, ...]
    indices: Array
    indptr: Array
    gather: Any

    def fits(self, H: Any, G: Any) -> bool:
        """Tell whether matrices have the pattern this was made from."""
        parts = (H.indptr, H.indices, G.indptr, G.indices)
        pairs = zip(self.source, parts, strict=True)
        return all(a is b or (a.shape == b.shape and bool((a == b).all())) for a, b in pairs)


def sparse_pattern(H: Any, G: Any) -> SparsePattern:
    """Return the pattern of the system of a CSC matrix H (n, n) and a CSR matrix G (m, n)."""
    from scipy.sparse import coo_array

    xp = array_namespace(H.data)
    m, n = G.shape
    N = n + m
    index = H.indices.dtype
    columns_H = columns_of_entries(H).astype(index)
    rows_G = columns_of_entries(G.T).astype(index) + n
    diagonal = xp.arange(N, dtype=index)
    rows = xp.concat([H.indices, rows_G, G.indices.astype(index), diagonal])
    columns = xp.concat([columns_H, G.indices.astype(index), rows_G, diagonal])
    keys = columns.astype(diagonal.dtype.newbyteorder("=")).astype("int64") * N + rows
    places, inverse = xp.unique_inverse(keys)
    size = keys.shape[0]
    gather = coo_array(
        (xp.ones(size), (inverse.reshape(-1), xp.arange(size))), shape=(places.shape[0], size)
    ).tocsr()
    indptr = xp.searchsorted(places // N, xp.arange(N + 1))
    source = (H.indptr, H.indices, G.indptr, G.indices)
    return SparsePattern(source, (places % N).astype(index), indptr.astype(index), gather)


class SparseKkt(Blocks):
    """A sparse system; SciPy's matrices, so NumPy only."""

    def __init__(self, H: Any, G: Any, pattern: SparsePattern | None) -> None:
        H, G = H.tocsc(), G.tocsr()
        for A in (H, G):
            A.sum_duplicates()
        super().__init__(H, G)
        known = pattern is not None and pattern.fits(H, G)
        self.pattern = pattern if known and pattern is not None else sparse_pattern(H, G)

    def shifted(self, primal_shift: float, dual_shift: float) -> Any:
        """Return the shifted matrix in CSC format."""
        from scipy.sparse import csc_array

        xp, N = array_namespace(self.H.data), self.n + self.m
        shifts = xp.full(N, primal_shift)
        shifts[self.n :] = -dual_shift
        values = xp.concat([self.H.data, self.G.data, self.G.data, shifts])
        pattern = self.pattern
        data = pattern.gather @ values
        return csc_array((data, pattern.indices, pattern.indptr), shape=(N, N))

    def factor(self, primal_shift: float, dual_shift: float) -> Factor | None:
        """Return the factor of the matrix, with a small shift below that refinement takes out."""
        shift = max(dual_shift, SPARSE_SHIFT) if self.m else 0.0
        factor = sparse_factor(self.shifted(primal_shift, shift))
        if factor is None or shift == dual_shift:
            return factor
        solve = refined(factor.solve, lambda v: self.product(v, primal_shift, dual_shift))
        return factor._replace(solve=solve)


def refined(
    solve: Callable[[Array], Array], product: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """Return a solve for the matrix of `product`, by refining that for a matrix close to it."""

    def improved(b: Array) -> Array:
        x = solve(b)
        residual = b - product(x)
        size = largest(residual)
        for _ in range(_REFINEMENTS):
            if size <= 1e-13 * largest(b):
                break
            better = x + solve(residual)
            residual = b - product(better)
            if not largest(residual) < 0.5 * size:
                break
            x, size = better, largest(residual)
        return x

    return improved


class LowRankKkt(Blocks):
    """A system whose Hessian is a multiple of the identity and a low-rank matrix."""

    def __init__(self, H: LowRank, G: Any, pattern: SparsePattern | None) -> None:
        super().__init__(H, G)
        self.base = build_kkt(_identity(H.sigma, H.W, G), G, pattern)
        self.pattern = getattr(self.base, "pattern", None)

    def factor(self, primal_shift: float, dual_shift: float) -> Factor | None:
        """Return the factor by the formula of Sherman, Morrison and Woodbury.

        The matrix H is positive definite, so the inertia is that of the base.
        """
        H = self.H
        base: Factor | None = self.base.factor(primal_shift, dual_shift)
        if base is None or H.W.shape[1] == 0:
            return base
        xp = array_namespace(H.W)
        below = xp.zeros((self.m, H.W.shape[1]), dtype=H.W.dtype, device=device_of(H.W))
        U = xp.concat([H.W, below])
        solved = xp.stack([base.solve(U[:, k]) for k in range(U.shape[1])], axis=1)
        small = H.M - U.T @ solved

        def solve(b: Array) -> Array:
            x = base.solve(b)
            weights = xp.linalg.solve(small, (U.T @ x)[:, None])[:, 0]
            return x + solved @ weights

        return base._replace(solve=solve)


def _identity(sigma: float, like: Array, G: Any) -> Any:
    """Return ``sigma I`` in the format of G."""
    n = G.shape[1]
    if is_sparse(G):
        from scipy.sparse import eye_array

        return (sigma * eye_array(n, format="csc", dtype=like.dtype)).tocsc()
    return sigma * array_namespace(like).eye(n, dtype=like.dtype, device=device_of(like))


def identity_kkt(like: Array, G: Any) -> Blocks:
    """Return the system with the identity as its Hessian, in the dtype of an array."""
    return build_kkt(_identity(1.0, like, G), G)


def build_kkt(H: Any, G: Any, pattern: SparsePattern | None = None) -> Blocks:
    """Return the system of a Hessian and a Jacobian that both have entries."""
    if isinstance(H, LowRank):
        return LowRankKkt(H, G, pattern)
    if is_operator(H) or is_operator(G):
        raise TypeError("a factorization needs matrices, not operators")
    if is_sparse(G):
        return SparseKkt(H if is_sparse(H) else _sparse(H), G, pattern)
    return DenseKkt(H.toarray() if is_sparse(H) else H, G)


def _sparse(H: Array) -> Any:
    from scipy.sparse import csc_array

    return csc_array(H)
