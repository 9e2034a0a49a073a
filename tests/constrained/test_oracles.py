"""What must hold whatever the solver says: optimality, the merit function, inertia, rates."""

import numpy as np
import pytest
import scipy.linalg
from programs import GOTTFR, PROGRAMS, Program, kkt_errors, solved_by
from scipy.optimize import NonlinearConstraint

import numopt
from numopt.constrained import _merit, _newton
from numopt.constrained._merit import Penalties, slope_of, terms_of
from numopt.constrained._problem import Point, lagrangian_gradient
from numopt.constrained.kkt.factor import symmetric_factor
from numopt.constrained.kkt.regularize import Shifts, regularize
from numopt.constrained.kkt.system import DenseKkt


@pytest.mark.parametrize("name", PROGRAMS)
def test_solution_meets_the_conditions_and_the_known_minimum(name):
    program = PROGRAMS[name]
    result = program.solve()
    optimality, violation, lam = kkt_errors(program, result.x)
    assert result.success
    assert result.status is numopt.Status.CONVERGED
    assert max(optimality, violation) <= 1e-8
    assert abs(result.fun - program.minimum) <= 1e-7 * max(1, abs(program.minimum))
    np.testing.assert_allclose(result.dual_vector(), lam, rtol=1e-6, atol=1e-6)
    # What is reported is what is there.
    gL = program.grad(result.x) + program.jac(result.x).T @ result.dual_vector()
    assert result.optimality == pytest.approx(np.abs(gL).max(), rel=1e-6, abs=1e-14)
    assert result.infeasibility == np.abs(program.con(result.x)).max()


@pytest.mark.parametrize("seed", range(4))
def test_convex_quadratic_program_takes_one_step(seed):
    rng = np.random.default_rng(seed)
    n, m = 12, 5
    A = rng.normal(size=(n, n))
    H, G = A @ A.T + np.eye(n), rng.normal(size=(m, n))
    q, b = rng.normal(size=n), rng.normal(size=m)
    result = numopt.minimize_equality(
        lambda x: 0.5 * x @ H @ x + q @ x,
        rng.normal(size=n),
        jac=lambda x: H @ x + q,
        hess=lambda _: H,
        constraints={"type": "eq", "fun": lambda x: G @ x - b, "jac": lambda _: G, "hess": _zero},
    )
    K = np.block([[H, G.T], [G, np.zeros((m, m))]])
    exact = np.linalg.solve(K, np.concatenate([-q, b]))
    assert result.nit == 1
    assert result.hess_mode == "exact"
    np.testing.assert_allclose(result.x, exact[:n], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(result.dual_vector(), exact[n:], rtol=1e-8, atol=1e-9)


def _zero(x, _):
    return np.zeros((x.size, x.size))


@pytest.mark.parametrize("name", ["hs40", "hs56", "hs78"])
def test_slope_is_the_derivative_of_the_merit_function(name):
    """At random points; with the Hessian of f in place of the Lagrangian's this fails."""
    program = PROGRAMS[name]
    rng = np.random.default_rng(0)
    m = len(program.con(program.x0))
    penalties = Penalties(0.7, 0.3)

    def point(x):
        return Point(x, program.fun(x), np.array(program.con(x)), program.grad(x), program.jac(x))

    def value(x, lam):
        p = point(x)
        return terms_of(p, lagrangian_gradient(p, lam), lam).value(penalties)

    for _ in range(20):
        x, lam = program.x0 + 0.3 * rng.normal(size=program.x0.size), rng.normal(size=m)
        dx, dlam = rng.normal(size=x.size), rng.normal(size=m)
        p, h = point(x), 1e-5
        slope = slope_of(p, lagrangian_gradient(p, lam), program.hess(x, lam), dx, dlam)
        high, low = (value(x + t * dx, lam + t * dlam) for t in (h, -h))
        size = abs(slope.a0) + abs(slope.a1) + abs(slope.a2)
        assert abs((high - low) / (2 * h) - slope.along(penalties)) <= 1e-6 * size


def test_penalties_make_a_step_descend():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        a0, a1 = rng.normal(), -abs(rng.normal())
        gradient, violation = abs(rng.normal()), abs(a1)
        slope = _merit.Slope(a0, a1, rng.normal(), gradient + violation, gradient)
        penalties = slope.adapted(Penalties(1.0, 0.1), 1.5)
        if penalties is not None:
            found += 1
            assert slope.descends(penalties)
            assert penalties.eta1 >= 1.0
            assert penalties.eta2 <= 0.1
    assert found >= 190
    uphill = _merit.Slope(1.0, 0.0, 0.0, 1.0, 1.0)
    assert uphill.adapted(Penalties(1.0, 0.1), 1.5) is None


@pytest.mark.parametrize("name", ["hs6", "hs7", "bt5", "hs56", "rsnbrne"])
def test_every_step_descends_and_every_point_is_low_enough(name, monkeypatch):
    seen = []
    search = _newton.Newton.search

    def checked(self, state, direction):
        assert direction.slope.descends(direction.penalties)
        found = search(self, state, direction)
        if found is not None:
            start = terms_of(state.point, state.gradient, state.lam)
            end = terms_of(found.point, lagrangian_gradient(found.point, found.lam), found.lam)
            assert direction.slope.descends(found.penalties)
            bound = (
                found.length
                * self.settings.sufficient_decrease
                * direction.slope.along(found.penalties)
            )
            change = end.value(found.penalties) - start.value(found.penalties)
            small = end.gradient + end.violation <= 1e-6
            seen.append(small or change <= bound + 1e-12 * (1 + abs(start.value(found.penalties))))
        return found

    monkeypatch.setattr(_newton.Newton, "search", checked)
    assert PROGRAMS[name].solve().success
    assert seen
    assert all(seen)


def test_no_maratos_effect_and_superlinear_convergence():
    for name in ("maratos", "hs78", "hs7"):
        history = PROGRAMS[name].solve(tol=1e-10).history
        assert [record["step"] for record in history[-3:]] == [1.0] * 3
        errors = [record["error"] for record in history]
        ratios = [b / a for a, b in zip(errors[-4:-1], errors[-3:], strict=True)]
        assert ratios[0] > ratios[1] > ratios[2] or errors[-1] < 1e-14


def matrix_with_inertia(rng, positive, negative, zero):
    values = np.concatenate(
        [rng.uniform(0.5, 2, positive), -rng.uniform(0.5, 2, negative), np.zeros(zero)]
    )
    Q = scipy.linalg.qr(rng.normal(size=(values.size, values.size)))[0]
    K = (Q * values) @ Q.T
    return (K + K.T) / 2


@pytest.mark.parametrize(
    "counts", [(5, 3, 0), (1, 0, 0), (0, 4, 0), (7, 7, 0), (20, 11, 0), (6, 4, 1), (40, 20, 3)]
)
def test_inertia_is_that_of_the_eigenvalues(lib, counts):
    positive, negative, zero = counts
    for seed in range(5):
        K = matrix_with_inertia(np.random.default_rng(seed), positive, negative, zero)
        factor = symmetric_factor(lib.asarray(K.astype(lib.widest)))
        if zero and lib.name.startswith("numpy"):
            # Pivots of a singular matrix may be rounded to either sign, but some eigenvalue is
            # then seen not to be where it should.
            exact = np.linalg.eigvalsh(K)
            assert factor.negative + factor.zero >= int((exact < -1e-10).sum())
        else:
            assert (factor.negative, factor.zero) == (negative, zero)


def test_exactly_singular_matrix_is_seen():
    rng = np.random.default_rng(3)
    G = rng.normal(size=(2, 5))
    kkt = DenseKkt(np.eye(5), np.vstack([G, G[:1]]))
    rhs = rng.normal(size=8)
    found = regularize(kkt, rhs, Shifts())
    assert found.dual_shift > 0
    assert found.factor.negative == 3


def test_shift_makes_the_hessian_positive_on_the_null_space():
    rng = np.random.default_rng(4)
    for _ in range(20):
        H, G = rng.normal(size=(9, 9)), rng.normal(size=(4, 9))
        H = H + H.T
        found = regularize(DenseKkt(H, G), rng.normal(size=13), Shifts())
        Z = scipy.linalg.null_space(G)
        lowest = np.linalg.eigvalsh(Z.T @ H @ Z).min()
        assert np.linalg.eigvalsh(Z.T @ (H + found.primal_shift * np.eye(9)) @ Z).min() > 0
        assert (found.primal_shift == 0) == (lowest > 0)
        assert found.primal_shift <= 40 * max(-lowest, 1e-4)


def test_sensitivity_is_the_derivative_of_the_solution():
    def program(p):
        return Program(
            lambda x: (x[0] - p) ** 2 + x[1] ** 4 + x[1] * x[2] + x[2] ** 2,
            lambda x: [x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 1 - p],
            [1.0, 0.5, 0.2],
        )

    p, h = 0.3, 1e-5
    result = program(p).solve(tol=1e-12)
    # d(gradient)/dp = (-2, 0, 0) and dc/dp = -1.
    dx, dlam = result.kkt_solve(np.array([2.0, 0, 0]), np.array([1.0]))
    high, low = (program(p + t).solve(tol=1e-12) for t in (h, -h))
    np.testing.assert_allclose(dx, (high.x - low.x) / (2 * h), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        dlam, (high.dual_vector() - low.dual_vector()) / (2 * h), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("solver", ["gmres", "minres", "kaczmarz", "gaussian", "block-kaczmarz"])
@pytest.mark.parametrize("name", ["hs7", "hs40", "hs42", "hs78", "bt5", "hs28", "maratos"])
def test_all_linear_solvers_find_the_same_minimizer(name, solver):
    program = PROGRAMS[name]
    direct = program.solve()
    result = program.solve(**solved_by(solver), rng=0)
    assert result.success
    assert result.stats["n_inner"] > 0
    np.testing.assert_allclose(result.x, direct.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["hs6", "hs40", "hs78", "rsnbrne"])
def test_scales_of_the_functions_do_not_matter(name):
    program = PROGRAMS[name]
    plain = program.solve()
    scaled = Program(
        lambda x: 1e6 * program.fun(x),
        lambda x: [1e-6 * c for c in program.con(x)],
        program.x0,
    )
    result = scaled.solve(tol=1e-9, feas_tol=1e-14)
    assert result.success
    np.testing.assert_allclose(result.x, plain.x, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        result.dual_vector(), 1e12 * plain.dual_vector(), rtol=1e-4, atol=1e-1
    )


def test_nearly_singular_jacobian_is_solved():
    result = GOTTFR.solve()
    assert result.success
    assert max(kkt_errors(GOTTFR, result.x)[:2]) <= 1e-8


def test_duplicated_constraints():
    program = PROGRAMS["hs42"]
    twice = NonlinearConstraint(program.con, 0.0, 0.0, jac=program.jac)
    result = numopt.minimize_equality(
        program.fun, program.x0, jac=program.grad, constraints=[twice, program.constraint()]
    )
    assert result.success
    assert abs(result.fun - program.minimum) <= 1e-6


def test_contradicting_constraints_are_infeasible():
    constraints = [
        {"type": "eq", "fun": lambda x, b=b: x.sum() - b, "jac": np.ones_like} for b in (1.0, 2.0)
    ]
    result = numopt.minimize_equality(
        lambda x: x @ x, np.array([3.0, 1.0, 0.0]), jac=lambda x: 2 * x, constraints=constraints
    )
    assert not result.success
    assert result.status is numopt.Status.INFEASIBLE
    assert abs(result.x.sum() - 1.5) <= 1e-4
    assert "infeasible" in result.message
