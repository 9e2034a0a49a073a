"""The interior-point core on linear, quadratic and second-order cone programs with known minima."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from libraries import LIBRARIES, to_numpy

from numopt._conic import cones
from numopt._conic.predictor_corrector import (
    Iterate,
    Patience,
    mean_product,
    predictor_corrector,
)


class Point(NamedTuple):
    """Points and multipliers in an orthant and in second-order cones; prices of the equations."""

    orthant: Any
    cone: Any
    price: Any


class ConicProgram:
    """``min x'Px / 2 + c'x`` subject to ``A x = b``; first n entries >= 0, then cones (k, 1 + d).

    A dense system is solved for each direction.
    """

    def __init__(self, lib, A, b, c, P=None, n=0, k=0):
        P = np.zeros((len(c), len(c))) if P is None else P
        self.A, self.b, self.c, self.P = map(lib.asarray, (A, b, c, P))
        self.xp, self.lib, self.n, self.k = lib.xp, lib, n, k

    def parts(self, x):
        if not self.k:
            return x, ()
        cone = self.xp.reshape(x[self.n :], (self.k, -1))
        return x[: self.n], cones.Element(cone[:, 0], cone[:, 1:])

    def whole(self, orthant, cone):
        if not cone:
            return orthant
        columns = self.xp.concat([cone.head[:, None], cone.tail], axis=1)
        return self.xp.concat([orthant, self.xp.reshape(columns, (-1,))])

    def in_cones(self, point):
        return (point.orthant, point.cone) if self.k else (point.orthant,)

    def first(self):
        inside = np.zeros(self.c.shape[0])
        inside[: self.n] = 1
        if self.k:
            inside[self.n :: (len(inside) - self.n) // self.k] = 1
        orthant, cone = self.parts(self.lib.asarray(inside))
        return Point((orthant, orthant), (cone, cone), 0 * self.b)

    def inverse_square(self, scaling):
        """Return the matrix that the scaling of the cones stands for."""
        size = self.c.shape[0]
        columns = []
        for k in range(self.n, size):
            unit = self.parts(self.lib.asarray(np.eye(size)[k]))[1]
            twice = cones.unscaled(scaling, cones.unscaled(scaling, unit))
            columns.append(self.whole(0 * self.c[: self.n], twice))
        return columns

    def step(self, point, **options):
        xp = self.xp
        (x, s), (u, v) = point.orthant, point.cone
        z, multiplier = self.whole(x, u), self.whole(s, v)
        dual = xp.matmul(self.P, z) + self.c - xp.matmul(self.A.T, point.price) - multiplier
        primal = xp.matmul(self.A, z) - self.b
        scaling = cones.nesterov_todd(u, v) if u else None
        eye = self.lib.asarray(np.eye(self.c.shape[0]))
        H = self.P + eye * xp.concat([s / x, 0 * self.c[self.n :]])[None, :]
        if u:
            square = xp.stack(self.inverse_square(scaling), axis=1)
            H = H + xp.concat([0 * eye[:, : self.n], square], axis=1)
        zero = xp.zeros((self.b.shape[0],) * 2, dtype=H.dtype, device=self.lib.device)
        top, bottom = xp.concat([H, -self.A.T], axis=1), xp.concat([self.A, zero], axis=1)
        matrix = xp.concat([top, bottom])

        def direction(target, affine):
            pairs = (None, None) if affine is None else (affine.orthant, affine.cone)
            products = cones.orthant_residual((x, s), target, pairs[0])
            rest = ()
            if u:
                rest = cones.second_order_residual(scaling, target, pairs[1])
                rest = cones.unscaled(scaling, cones.quotient(rest, scaling.middle))
            free = self.whole(products / x, rest)
            rhs = xp.concat([free - dual, -primal])
            change = xp.linalg.solve(matrix, rhs[:, None])[:, 0]
            dz, price = change[: self.c.shape[0]], change[self.c.shape[0] :]
            multipliers = free - xp.matmul(H - self.P, dz)
            (dx, du), (ds, dv) = self.parts(dz), self.parts(multipliers)
            return Point((dx, ds), (du, dv), price)

        return predictor_corrector(point, self.in_cones, direction, **options)

    def solve(self, steps=60, **options):
        """Return the minimizer, and the number of steps it took."""
        small = 1e-10 if self.lib.widest == "float64" else 1e-5
        now, patience, count = Iterate(self.first()), Patience(), 0
        while count < steps and not now.stuck:
            mean = float(mean_product(self.in_cones(now.point)))
            if mean < small or patience.note(mean) > 3:
                break
            now, count = self.step(now.point, **options), count + 1
        return to_numpy(self.whole(*(pair[0] for pair in now.point[:2]))), count


def accuracy(lib):
    return {"rtol": 0, "atol": 1e-7 if lib.widest == "float64" else 1e-3}


def test_linear_program(lib):
    """A linear program, whose minimum the simplex method finds."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(3)
    A, x = rng.normal(size=(5, 12)), rng.random(12)
    b, c = A @ x, A.T @ rng.normal(size=5) + rng.random(12)
    wanted = linprog(c, A_eq=A, b_eq=b, bounds=(0, None), method="highs")
    found, steps = ConicProgram(lib, A, b, c, n=12).solve()
    assert wanted.status == 0
    np.testing.assert_allclose(found, wanted.x, **accuracy(lib))
    assert steps <= 15


def test_quadratic_program(lib):
    """Projections onto the simplex have a closed form."""
    rng = np.random.default_rng(8)
    target = 0.5 * rng.normal(size=9)
    ordered = np.sort(target)[::-1]
    shifts = (np.cumsum(ordered) - 1) / np.arange(1, 10)
    shift = shifts[np.nonzero(ordered > shifts)[0][-1]]
    program = ConicProgram(lib, np.ones((1, 9)), np.ones(1), -target, np.eye(9), n=9)
    found, steps = program.solve()
    np.testing.assert_allclose(found, np.maximum(target - shift, 0), **accuracy(lib))
    assert steps <= 15


def test_second_order_cone_program(lib):
    """With its head fixed, a linear function on a cone is least against its gradient."""
    c = np.asarray([0.0, 3.0, -4.0])
    program = ConicProgram(lib, np.asarray([[1.0, 0.0, 0.0]]), np.ones(1), c, k=1)
    found, steps = program.solve()
    np.testing.assert_allclose(found, [1.0, -0.6, 0.8], **accuracy(lib))
    assert steps <= 15


def test_program_with_both_kinds_of_cones():
    cp = pytest.importorskip("cvxpy", reason="CVXPY is not installed")
    rng = np.random.default_rng(5)
    n, k, d = 4, 3, 3
    x = np.concatenate([rng.random(n), *([2.0, *rng.uniform(-1, 1, d)] for _ in range(k))])
    s = np.concatenate([rng.random(n), *([2.0, *rng.uniform(-1, 1, d)] for _ in range(k))])
    A = rng.normal(size=(6, len(x)))
    b, c = A @ x, A.T @ rng.normal(size=6) + s
    variable = cp.Variable(len(x))
    groups = [n + (1 + d) * j for j in range(k)]
    inside = [cp.SOC(variable[g], variable[g + 1 : g + 1 + d]) for g in groups]
    problem = cp.Problem(cp.Minimize(c @ variable), [A @ variable == b, variable[:n] >= 0, *inside])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)

    found, steps = ConicProgram(LIBRARIES["numpy"](), A, b, c, n=n, k=k).solve()
    assert c @ found == pytest.approx(problem.value, rel=1e-7)
    np.testing.assert_allclose(A @ found, b, atol=1e-7)
    assert steps <= 15


def test_many_problems_at_once_are_each_alone(lib):
    """Projections of many points onto orthants: each has a step of its own."""
    rng = np.random.default_rng(6)
    goals = lib.asarray(rng.normal(size=(5, 4)) * 10.0 ** np.arange(-2, 3)[:, None])

    def projected(goal, batched):
        def step(point):
            x, s = point
            H = 1 + s / x

            def direction(target, affine):
                products = cones.orthant_residual(point, target, affine)
                dx = (goal - x + s + products / x) / H
                return dx, (products - s * dx) / x

            return predictor_corrector(point, lambda pair: (pair,), direction, batched=batched)

        now = Iterate((lib.xp.ones_like(goal), lib.xp.ones_like(goal)))
        for _ in range(20):
            now = step(now.point)
        return now

    together = projected(goals, True)
    assert together.step.shape == (5, 1)
    wanted = np.maximum(to_numpy(goals), 0)
    np.testing.assert_allclose(to_numpy(together.point[0]), wanted, atol=1e2 * lib.eps**0.5)
    for k in range(5):
        alone = projected(goals[k : k + 1, :], False)
        np.testing.assert_allclose(
            to_numpy(alone.point[0]),
            to_numpy(together.point[0])[k : k + 1],
            rtol=1e4 * lib.eps,
            atol=1e4 * lib.eps,
        )


def test_a_step_that_is_not_finite_is_not_taken(lib):
    point = (lib.asarray([1.0, 2.0]), lib.asarray([3.0, 1.0]))
    nowhere = predictor_corrector(
        point, lambda pair: (pair,), lambda target, _: (point[0] * np.inf + target, point[1] * 0)
    )
    assert nowhere.stuck
    assert float(nowhere.step) == 0.0
    np.testing.assert_array_equal(to_numpy(nowhere.point[0]), [1.0, 2.0])


def test_short_steps_are_recentered():
    """From a point with one product far below the others."""
    asked = []

    def step(**options):
        point = (np.asarray([1.0, 1e-9]), np.asarray([1.0, 1.0]))

        def direction(target, affine):
            asked.append((float(target), affine is None))
            products = cones.orthant_residual(point, target, affine)
            dx = products / point[1] + np.asarray([0.0, -1.0 if affine is not None else 0.0])
            return dx, 0 * dx

        return predictor_corrector(point, lambda pair: (pair,), direction, **options)

    assert float(step().step) < 1e-6
    assert len(asked) == 2
    centered = step(recenter_below=0.1)
    assert float(centered.step) > 0.1
    assert asked[-1] == (pytest.approx(0.5), True)


def test_patience_counts_what_does_not_fall_by_a_tenth():
    patience = Patience()
    noted = [patience.note(a, b) for a, b in [(1, 1), (0.95, 1), (0.92, 0.8), (0.5, 1), (0.5, 1)]]
    assert noted == [0, 1, 0, 0, 1]
    assert patience.least == (0.5, 0.8)
    assert patience.note(float("nan"), 1.0) == 2
