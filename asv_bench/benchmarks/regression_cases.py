"""Cases of the regression benchmarks, their goals, and errors measured apart from every solver.

With ``NUMOPT_BENCH_QUICK`` in the environment the cases shrink until each takes a moment.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from .cases import QUICK

EPS = 2.0**-52
BLOCK = 4096


class Case(NamedTuple):
    """What is computed from a matrix (n, d), and the goals set for numopt.

    `kind`: "dense" and "sparse" are least squares problems, "sketch" is ``S @ A`` and "product" is
    ``A.T @ (A @ p)``. `cond` is the condition number of A, `matrix` the function that makes it.
    `goals` maps a group of contenders to the wanted ratio of the time of its best to numopt's,
    `target` is the largest error allowed.
    """

    kind: str
    n: int
    d: int
    cond: float
    goals: dict[str, float]
    target: float
    limit: float = 10.0
    matrix: str = "mixed"


# What numopt must reach. Others count as equally accurate up to ten times that.
TARGET = EPS
SLACK = 10.0
SKETCH_ROWS = 200 if QUICK else 2000

FULL = {
    "gaussian-100": Case(
        "dense", 1 << 17, 100, 1.0, {"normal equations": 1 / 1.3, "Krylov": 2}, TARGET
    ),
    "B1": Case("dense", 1 << 18, 50, 1e2, {"LAPACK": 8, "Krylov": 2}, TARGET),
    "B2": Case("dense", 1 << 17, 200, 1e2, {"LAPACK": 12, "Krylov": 2}, TARGET),
    "B3": Case("dense", 1 << 16, 500, 1e2, {"LAPACK": 10, "Krylov": 2}, TARGET),
    "B4": Case("dense", 1 << 18, 100, 1e12, {"LAPACK": 7}, TARGET),
    "B5": Case("sketch", 1 << 20, 50, 1.0, {"one pass": 1 / 4, "CountSketch": 1 / 2.5}, 0.5),
    "B6-50": Case("product", 1 << 18, 50, 1.0, {"two products": 2.5}, 1e-14),
    "B6-100": Case("product", 1 << 18, 100, 1.0, {"two products": 2.5}, 1e-14),
    "B8": Case(
        "sparse", 1_000_000, 500, 1e6, {"Krylov": 3}, TARGET, limit=20.0, matrix="scattered"
    ),
    "B8-stencil": Case(
        "sparse", 1_000_000, 500, 1e5, {"Krylov": 3}, TARGET, limit=20.0, matrix="stencils"
    ),
}


def shrunk(case):
    return case._replace(n=2000, d=min(case.d, 20), limit=5.0)


CASES = {name: shrunk(case) if QUICK else case for name, case in FULL.items()}


class Problem(NamedTuple):
    A: object
    b: np.ndarray


def make(case, seed=0):
    """Make the problem of a case: A and a right-hand side (n,), or a vector (d,) for products."""
    rng = np.random.default_rng(seed)
    A = MATRICES[case.matrix](case, rng)
    if case.kind == "product":
        return Problem(A, rng.standard_normal(case.d))
    signal = A @ (rng.standard_normal(case.d) / column_norms(A))
    noise = rng.standard_normal(case.n)
    return Problem(A, signal / linalg.norm(signal) + 0.1 * noise / linalg.norm(noise))


def column_norms(A):
    return np.sqrt(np.asarray((A.multiply(A) if sparse.issparse(A) else A * A).sum(axis=0)))


def mixed(case, rng):
    """Gaussian rows times a matrix of the wanted condition number, logarithmically spaced."""
    V, _ = linalg.qr(rng.standard_normal((case.d, case.d)))
    singular = np.logspace(0, -np.log10(case.cond), case.d)
    return rng.standard_normal((case.n, case.d)) @ (singular[:, None] * V)


def scattered(case, rng):
    """Three normal entries in every row, and columns of very different length."""
    columns = rng.integers(case.d, size=(case.n, 3))
    scale = np.logspace(0, -np.log10(case.cond), case.d)
    return csr(columns, rng.standard_normal((case.n, 3)) * scale[columns], case)


def stencils(case, rng):
    """Second differences of neighboring columns, cut off at the ends, weighted at random."""
    places = rng.integers(case.d, size=(case.n, 1)) + np.array([-1, 0, 1])
    values = rng.standard_normal((case.n, 1)) * np.array([1.0, -2.0, 1.0])
    inside = (places >= 0) & (places < case.d)
    return csr(np.where(inside, places, 0), np.where(inside, values, 0.0), case)


def csr(columns, values, case):
    starts = np.arange(0, columns.size + 1, 3)
    A = sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=(case.n, case.d))
    A.sum_duplicates()
    A.eliminate_zeros()
    return A


MATRICES = {function.__name__: function for function in (mixed, scattered, stencils)}


class Yardstick:
    """Measures answers to one problem: in extended precision, by one formula for all."""

    def __init__(self, kind, problem):
        self.kind, (self.A, self.b) = kind, problem
        if kind != "product":
            self.R = triangle(self.A)
        self.norm = linalg.norm(self.R) if kind in ("dense", "sparse") else None

    def error(self, answer):
        """Error of an answer; infinite where it is not finite."""
        if not np.isfinite(answer).all():
            return np.inf
        if self.kind == "product":
            _, expected = extended_products(self.A, None, self.b)
            return float(linalg.norm(answer + expected) / linalg.norm(expected))
        if self.kind == "sketch":
            return distortion(self.R, answer)
        return self.backward_error(answer)

    def backward_error(self, x):
        r"""Smallest perturbation of A and b, relative to A, that x solves exactly, within about 2.

        The estimate of Waldén, Karlson and Sun, ``theta / sqrt(t) |(A'A + mu I)^{-1/2} A'r|`` with
        ``mu = theta^2 |r|^2 / t``, from a QR factor of ``[A; sqrt(mu) I]``.
        """
        squares, gradient = extended_products(self.A, self.b, x)
        theta = self.norm / linalg.norm(self.b)
        t = 1 + (theta * linalg.norm(x)) ** 2
        mu = theta**2 * float(squares) / t
        d = self.R.shape[0]
        (R,) = linalg.qr(np.vstack([self.R, np.sqrt(mu) * np.eye(d)]), mode="r")
        z = linalg.solve_triangular(R[:d], gradient.astype(float), trans="T")
        return float(theta / np.sqrt(t) * linalg.norm(z) / self.norm)


def triangle(A):
    """Triangular QR factor of A, block by block.

    Sparse cases are well-conditioned enough, once their columns are scaled, for that of Cholesky.
    """
    if sparse.issparse(A):
        return linalg.cholesky((A.T @ A).toarray())
    R = np.empty((0, A.shape[1]))
    for start in range(0, A.shape[0], 8 * BLOCK):
        block = A[start : start + 8 * BLOCK]
        (R,) = linalg.qr(np.vstack([R, block]), mode="r", overwrite_a=True, check_finite=False)
        R = R[: A.shape[1]]
    return R


def extended_products(A, b, x):
    """``|b - A x|^2`` and ``A.T @ (b - A x)`` in extended precision, zero for a b that is None."""
    x = np.asarray(x, dtype=np.longdouble)
    squares, gradient = np.longdouble(0), np.zeros(A.shape[1], dtype=np.longdouble)
    if sparse.issparse(A):
        A = A.astype(np.longdouble)
        residual = b - A @ x
        return residual @ residual, A.T @ residual
    for start in range(0, A.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        block = A[rows].astype(np.longdouble)
        residual = -(block @ x) if b is None else b[rows] - block @ x
        squares += residual @ residual
        gradient += residual @ block
    return squares, gradient


def distortion(R, sketched):
    """Largest relative change of a length in the column space: of a singular value of ``S Q``."""
    image = linalg.solve_triangular(R, sketched.T, trans="T").T
    return float(abs(linalg.svdvals(image) - 1).max())
