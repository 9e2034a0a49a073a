"""Sparse matrices, operators, finite differences with a pattern, quasi-Newton matrices."""

import numpy as np
import pytest
import scipy.sparse as sp
from programs import Program
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse.linalg import aslinearoperator

import numopt
from numopt.constrained._curvature import compact, damped
from numopt.constrained._differences import Differences, column_groups
from numopt.constrained.kkt.factor import sparse_factor
from numopt.constrained.kkt.system import LowRankKkt, SparseKkt, build_kkt


class Chain:
    """A chain of n points with nonlinear links, its derivatives sparse."""

    def __init__(self, n=60):
        self.n, self.m = n, n - 2
        self.x0 = np.where(np.arange(n) % 2, 1.0, -0.7)

    def fun(self, x):
        return np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum((x - 1) ** 2)

    def grad(self, x):
        gap = x[1:] - x[:-1] ** 2
        g = 2 * (x - 1)
        g[1:] += 2 * gap
        g[:-1] -= 4 * x[:-1] * gap
        return g

    def con(self, x):
        return x[:-2] * x[1:-1] + x[2:] ** 3 - 0.5

    def jac(self, x):
        bands = x[1:-1], x[:-2], 3 * x[2:] ** 2
        return sp.diags_array(bands, offsets=[0, 1, 2], shape=(self.m, self.n), format="csr")

    def hess(self, x, lam):
        main = np.full(self.n, 2.0)
        main[1:] += 2
        main[:-1] += -4 * (x[1:] - x[:-1] ** 2) + 8 * x[:-1] ** 2
        side = -4 * x[:-1]
        main[2:] += 6 * x[2:] * lam
        side[:-1] += lam
        return sp.diags_array([side, main, side], offsets=[-1, 0, 1], format="csc")

    def constraint(self, **options):
        return NonlinearConstraint(self.con, 0.0, 0.0, **({"jac": self.jac} | options))

    def solve(self, constraint=None, **options):
        return numopt.minimize_equality(
            self.fun,
            self.x0,
            jac=self.grad,
            constraints=constraint or self.constraint(),
            **options,
        )

    def check(self, result, tol=1e-8):
        assert result.success
        assert np.abs(self.con(result.x)).max() <= tol
        G, g = self.jac(result.x).toarray(), self.grad(result.x)
        lam = np.linalg.lstsq(G.T, -g, rcond=None)[0]
        assert np.abs(g + G.T @ lam).max() <= 2 * tol * max(1, np.abs(g).max())
        np.testing.assert_allclose(result.dual_vector(), lam, atol=1e3 * tol)


CHAIN = Chain()


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.coo_array])
def test_sparse_agrees_with_dense(kind):
    constraint = CHAIN.constraint(jac=lambda x: kind(CHAIN.jac(x)))
    sparse = CHAIN.solve(constraint, lagrangian_hess=lambda x, v: kind(CHAIN.hess(x, v)))
    CHAIN.check(sparse)
    dense = CHAIN.solve(
        CHAIN.constraint(jac=lambda x: CHAIN.jac(x).toarray()),
        lagrangian_hess=lambda x, v: CHAIN.hess(x, v).toarray(),
    )
    CHAIN.check(dense)
    assert sparse.stats["linear_solver"] == dense.stats["linear_solver"] == "direct"
    np.testing.assert_allclose(sparse.x, dense.x, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dense_part", ["hess", "jac"])
def test_mixed_formats(dense_part):
    def jac(x):
        return CHAIN.jac(x).toarray() if dense_part == "jac" else CHAIN.jac(x)

    def hess(x, v):
        return CHAIN.hess(x, v).toarray() if dense_part == "hess" else CHAIN.hess(x, v)

    CHAIN.check(CHAIN.solve(CHAIN.constraint(jac=jac), lagrangian_hess=hess))


def test_hessians_in_parts():
    def objective(x):
        return CHAIN.hess(x, np.zeros(CHAIN.m))

    def constraints(x, v):
        return CHAIN.hess(x, v) - objective(x)

    result = CHAIN.solve(CHAIN.constraint(hess=constraints), hess=objective)
    CHAIN.check(result)
    assert result.hess_mode == "exact"


@pytest.mark.parametrize("solver", ["auto", "gmres", "minres"])
@pytest.mark.parametrize("jacobian", ["matrix", "operator"])
def test_matrix_free(solver, jacobian):
    def hess_c(x, v):
        return aslinearoperator(CHAIN.hess(x, v) - CHAIN.hess(x, 0 * v))

    def jac(x):
        G = CHAIN.jac(x)
        return G if jacobian == "matrix" else aslinearoperator(G)

    result = CHAIN.solve(
        CHAIN.constraint(jac=jac, hess=hess_c),
        hessp=lambda x, p: CHAIN.hess(x, np.zeros(CHAIN.m)) @ p,
        method=solver,
    )
    CHAIN.check(result)
    assert result.hess_mode == "operator"
    assert result.stats["linear_solver"] == ("gmres" if solver == "auto" else solver)
    assert result.stats["n_inner"] > 0


@pytest.mark.parametrize("hess", ["bfgs", "l-bfgs"])
def test_quasi_newton_with_sparse_jacobians(hess):
    result = CHAIN.solve(hess=hess, tol=1e-6)
    CHAIN.check(result, tol=1e-6)
    assert result.hess_mode == hess
    assert result.nhev == 0


def test_many_variables_take_limited_memory_by_default():
    chain = Chain(300)
    result = chain.solve(tol=1e-6)
    chain.check(result, tol=1e-6)
    assert result.hess_mode == "l-bfgs"


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_sparse_finite_differences(scheme):
    calls = []

    def con(x):
        calls.append(1)
        return CHAIN.con(x)

    pattern = CHAIN.jac(np.ones(CHAIN.n))
    constraint = NonlinearConstraint(con, 0, 0, jac=scheme, finite_diff_jac_sparsity=pattern)
    result = CHAIN.solve(constraint, lagrangian_hess=CHAIN.hess, tol=1e-6)
    CHAIN.check(result, tol=1e-5)
    # Three columns share a row, so three groups do.
    assert len(calls) <= result.stats["ncev"] * (1 + 2 * 3)


def test_groups_share_no_row():
    rng = np.random.default_rng(0)
    for _ in range(10):
        pattern = sp.random_array((30, 40), density=0.08, rng=rng, format="csc")
        groups = column_groups(pattern)
        assert groups.shape == (40,)
        for group in range(groups.max() + 1):
            counts = (pattern[:, groups == group] != 0).sum(axis=1)
            assert counts.max() <= 1


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_differences_are_derivatives(scheme):
    x = np.array([1.0, -2.0, 1e3])
    exact = np.array([[np.cos(1.0), 0, 0], [-2.0, 1.0, 2e3]])
    found = Differences(scheme).jacobian(
        lambda z: np.stack([np.sin(z[0]), z[0] * z[1] + z[2] ** 2]), x
    )
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-3 if scheme == "2-point" else 1e-5)


def random_sparse_system(seed, n=40, m=15):
    rng = np.random.default_rng(seed)
    H = sp.random_array((n, n), density=0.08, rng=rng)
    H = (H + H.T + sp.diags_array(rng.normal(size=n))).tocsc()
    G = sp.random_array((m, n), density=0.15, rng=rng, format="csr") + sp.eye_array(m, n)
    return H, G.tocsr()


@pytest.mark.parametrize("seed", range(6))
def test_sparse_inertia_is_that_of_the_eigenvalues_or_not_known(seed):
    H, G = random_sparse_system(seed)
    kkt = SparseKkt(H, G, None)
    K = kkt.shifted(0.3, 1e-6)
    exact = np.block([[H.toarray(), G.T.toarray()], [G.toarray(), np.zeros((15, 15))]])
    exact += np.diag(np.append(np.full(40, 0.3), np.full(15, -1e-6)))
    np.testing.assert_allclose(K.toarray(), exact, atol=1e-15)
    factor = sparse_factor(K)
    assert factor.negative in (None, int((np.linalg.eigvalsh(exact) < 0).sum()))
    again = SparseKkt(2 * H, G, kkt.pattern)
    assert again.pattern is kkt.pattern
    other = SparseKkt(H + sp.eye_array(40, k=1), G, kkt.pattern)
    assert other.pattern is not kkt.pattern


def test_shift_of_a_sparse_system_is_refined_away():
    H, G = random_sparse_system(1)
    H = H + 20 * sp.eye_array(40)
    kkt = build_kkt(H.tocsc(), G)
    rhs = np.random.default_rng(2).normal(size=55)
    d = kkt.factor(0.0, 0.0).solve(rhs)
    assert np.abs(kkt.product(d, 0.0, 0.0) - rhs).max() <= 1e-10


@pytest.mark.parametrize("sparse", [False, True])
def test_low_rank_system_is_that_of_the_matrix_it_stands_for(sparse):
    rng = np.random.default_rng(3)
    n, m = 12, 4
    pairs = []
    for _ in range(3):
        s = rng.normal(size=n)
        pairs.append((s, s + 0.3 * rng.normal(size=n)))
    B = np.eye(n) * (pairs[-1][1] @ pairs[-1][1]) / (pairs[-1][0] @ pairs[-1][1])
    for s, y in pairs:
        Bs = B @ s
        B = B - np.outer(Bs, Bs) / (s @ Bs) + np.outer(y, y) / (s @ y)
    H = compact(tuple(pairs), pairs[0][0])
    v = rng.normal(size=n)
    np.testing.assert_allclose(H @ v, B @ v, rtol=1e-10)
    G = rng.normal(size=(m, n))
    kkt = build_kkt(H, sp.csr_array(G) if sparse else G)
    assert isinstance(kkt, LowRankKkt)
    rhs = rng.normal(size=n + m)
    exact = np.linalg.solve(np.block([[B, G.T], [G, np.zeros((m, m))]]), rhs)
    np.testing.assert_allclose(kkt.factor(0.0, 0.0).solve(rhs), exact, rtol=1e-7, atol=1e-8)


def test_damping_keeps_the_curvature_positive():
    rng = np.random.default_rng(4)
    for _ in range(50):
        s, y = rng.normal(size=(2, 6))
        new = damped(y, s, s @ y, s @ s)
        assert s @ new >= 0.2 * (s @ s) * (1 - 1e-12)


def test_sparse_linear_constraints_and_dense_ones_together():
    A = sp.csr_array(np.eye(3, CHAIN.n))
    dense = LinearConstraint(np.ones((1, CHAIN.n)), 40.0, 40.0)
    result = numopt.minimize_equality(
        lambda x: x @ x,
        CHAIN.x0,
        jac=lambda x: 2 * x,
        hess=lambda x: 2 * sp.eye_array(x.size),
        constraints=[LinearConstraint(A, 1.0, 1.0), dense],
    )
    assert result.success
    assert result.nit == 1
    np.testing.assert_allclose(result.x, np.append(np.ones(3), np.full(57, 37 / 57)), atol=1e-9)
    assert [part.shape for part in result.dual] == [(3,), (1,)]


def test_sparse_dependent_rows_are_solved():
    A = sp.csr_array(np.vstack([np.ones(6), np.ones(6), np.eye(6)[0]]))
    result = numopt.minimize_equality(
        lambda x: x @ x,
        np.zeros(6),
        jac=lambda x: 2 * x,
        hess=lambda x: 2 * sp.eye_array(x.size),
        constraints=LinearConstraint(A, [6.0, 6.0, 2.0], [6.0, 6.0, 2.0]),
    )
    assert result.success
    np.testing.assert_allclose(result.x, np.append(2.0, np.full(5, 0.8)), atol=1e-6)


def test_sparse_sensitivity_agrees_with_dense():
    sparse = CHAIN.solve(lagrangian_hess=CHAIN.hess)
    rx, rc = np.random.default_rng(5).normal(size=CHAIN.n), np.ones(CHAIN.m)
    dx, dlam = sparse.kkt_solve(rx, rc)
    H, G = CHAIN.hess(sparse.x, sparse.dual_vector()), CHAIN.jac(sparse.x)
    np.testing.assert_allclose(H @ dx + G.T @ dlam, rx, atol=1e-8)
    np.testing.assert_allclose(G @ dx, rc, atol=1e-8)


def test_sketches_take_sparse_matrices_as_dense_ones():
    chain = Chain(12)
    result = chain.solve(lagrangian_hess=chain.hess, sketch="block-kaczmarz", rng=0)
    chain.check(result)
    quasi = chain.solve(hess="l-bfgs", sketch="block-kaczmarz", rng=0, tol=1e-5)
    assert quasi.success


def test_restoration_brings_constraints_down():
    """A ring far away whose full steps overshoot until the constraints are restored."""
    ring = Program(
        lambda x: -x[0] - x[1],
        lambda x: [
            x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 9,
            (x[0] - 1) ** 2 + x[1] ** 2 + x[2] ** 2 - 9,
        ],
        [5.0, 1e-4, -1e-4],
    )
    result = ring.solve()
    assert result.success
    assert result.fun == pytest.approx(-0.5 - np.sqrt(8.75), rel=1e-7)
