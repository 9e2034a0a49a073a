"""Equality-constrained programs with known solutions: from values alone, or with derivatives."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import NonlinearConstraint

import numopt


@dataclass
class Program:
    """Values of a program in NumPy; first derivatives by complex steps, second by differences."""

    fun: Any
    con: Any
    x0: Any
    minimum: float | None = None

    def __post_init__(self):
        self.x0 = np.asarray(self.x0, dtype=float)

    def grad(self, x):
        return self._columns(lambda z: np.reshape(self.fun(z), (1,)), x)[0]

    def jac(self, x):
        return self._columns(lambda z: np.asarray(self.con(z)), x)

    def hess(self, x, lam):
        def gradient(z):
            return self.grad(z) + self.jac(z).T @ lam

        step = 1e-5
        columns = [(gradient(x + e) - gradient(x - e)) / (2 * step) for e in step * np.eye(x.size)]
        found = np.array(columns)
        return (found + found.T) / 2

    def _columns(self, values, x):
        step = 1e-30
        moves = 1j * step * np.eye(x.size)
        return np.array([np.imag(values(x + e)) / step for e in moves]).T

    def constraint(self):
        return NonlinearConstraint(lambda x: np.asarray(self.con(x)), 0.0, 0.0, jac=self.jac)

    def solve(self, **options):
        """Solve with all derivatives."""
        options = {"jac": self.grad, "lagrangian_hess": self.hess} | options
        constraints = options.pop("constraints", self.constraint())
        x0 = options.pop("x0", self.x0)
        return numopt.minimize_equality(self.fun, x0, constraints=constraints, **options)


def _sum_of_squares(x):
    return (x * x).sum()


PROGRAMS = {
    "hs6": Program(lambda x: (1 - x[0]) ** 2, lambda x: [10 * (x[1] - x[0] ** 2)], [-1.2, 1], 0.0),
    "hs7": Program(
        lambda x: np.log(1 + x[0] ** 2) - x[1],
        lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
        [2, 2],
        -math.sqrt(3),
    ),
    "hs28": Program(
        lambda x: (x[0] + x[1]) ** 2 + (x[1] + x[2]) ** 2,
        lambda x: [x[0] + 2 * x[1] + 3 * x[2] - 1],
        [-4, 1, 1],
        0.0,
    ),
    "hs40": Program(
        lambda x: -x[0] * x[1] * x[2] * x[3],
        lambda x: [x[0] ** 3 + x[1] ** 2 - 1, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]],
        [0.8] * 4,
        -0.25,
    ),
    "hs42": Program(
        lambda x: _sum_of_squares(x - np.arange(1, 5)),
        lambda x: [x[0] - 2, x[2] ** 2 + x[3] ** 2 - 2],
        [1] * 4,
        28 - 10 * math.sqrt(2),
    ),
    "hs56": Program(
        lambda x: -x[0] * x[1] * x[2],
        lambda x: [
            x[0] - 4.2 * np.sin(x[3]) ** 2,
            x[1] - 4.2 * np.sin(x[4]) ** 2,
            x[2] - 4.2 * np.sin(x[5]) ** 2,
            x[0] + 2 * x[1] + 2 * x[2] - 7.2 * np.sin(x[6]) ** 2,
        ],
        [1, 1, 1, *[math.asin(math.sqrt(1 / 4.2))] * 3, math.asin(math.sqrt(5 / 7.2))],
        -3.456,
    ),
    "hs78": Program(
        lambda x: x[0] * x[1] * x[2] * x[3] * x[4],
        lambda x: [
            _sum_of_squares(x) - 10,
            x[1] * x[2] - 5 * x[3] * x[4],
            x[0] ** 3 + x[1] ** 3 + 1,
        ],
        [-2, 1.5, 2, -1, -1],
        -2.91970041,
    ),
    "bt5": Program(
        lambda x: 1000 - x[0] ** 2 - 2 * x[1] ** 2 - x[2] ** 2 - x[0] * x[1] - x[0] * x[2],
        lambda x: [8 * x[0] + 14 * x[1] + 7 * x[2] - 56, _sum_of_squares(x) - 25],
        [2] * 3,
        961.7151721,
    ),
    "maratos": Program(
        lambda x: -x[0] + 10 * (x[0] ** 2 + x[1] ** 2 - 1),
        lambda x: [x[0] ** 2 + x[1] ** 2 - 1],
        [1.1, 0.1],
        -1.0,
    ),
    "himmelbc": Program(
        lambda x: 0 * x[0],
        lambda x: [x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7],
        [1, 1],
        0.0,
    ),
    "rsnbrne": Program(
        lambda x: 0 * x[0], lambda x: [10 * (x[1] - x[0] ** 2), x[0] - 1], [-1.2, 1], 0.0
    ),
}

# Square systems whose Jacobian is nearly singular on the way.
GOTTFR = Program(
    lambda x: 0 * x[0],
    lambda x: [
        x[0] - 0.1136 * (x[0] + 3 * x[1]) * (1 - x[0]),
        x[1] + 7.5 * (2 * x[0] - x[1]) * (1 - x[1]),
    ],
    [0.5, 0.5],
)
# At its start the Jacobian is zero and the constraint is not.
S316 = Program(
    lambda x: (x[0] - 20) ** 2 + (x[1] + 20) ** 2,
    lambda x: [0.01 * x[0] ** 2 + 0.01 * x[1] ** 2 - 1],
    [0, 0],
    334.314575,
)
INFEASIBLE = Program(
    lambda x: 0 * x[0], lambda x: [x[0] ** 2 + 12 * x[1] - 1, x[1] ** 2 + x[0] ** 2 + 2], [1, 1]
)


def solved_by(name):
    """Return the options that name a linear solver: a method, or a sketch."""
    return (
        {"sketch": name} if name in ("kaczmarz", "gaussian", "block-kaczmarz") else {"method": name}
    )


class Portable:
    """A sphere that touches a warped valley, with derivatives, on any array library."""

    def __init__(self, lib, dtype=None):
        self.xp = lib.xp
        self.x0 = lib.asarray(np.array([0.8, 0.8, 0.8, 0.8]), dtype or lib.widest)
        self.ones = lib.asarray(np.ones(4), dtype or lib.widest)
        self.eye = lib.asarray(np.eye(4), dtype or lib.widest)

    def fun(self, x):
        return -x[0] * x[1] * x[2] * x[3]

    def grad(self, x):
        rows = [
            -x[1] * x[2] * x[3],
            -x[0] * x[2] * x[3],
            -x[0] * x[1] * x[3],
            -x[0] * x[1] * x[2],
        ]
        return self.xp.stack(rows)

    def con(self, x):
        rows = [x[0] ** 3 + x[1] ** 2 - 1, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]]
        return self.xp.stack(rows)

    def jac(self, x):
        zero, one = 0 * x[0], 0 * x[0] + 1
        rows = [
            [3 * x[0] ** 2, 2 * x[1], zero, zero],
            [2 * x[0] * x[3], zero, -one, x[0] ** 2],
            [zero, -one, zero, 2 * x[3]],
        ]
        return self.xp.stack([self.xp.stack(row) for row in rows])

    def hess(self, x, v):
        zero = 0 * x[0]
        a, b, c, d = (x[k] for k in range(4))
        h11, h14 = 6 * a * v[0] + 2 * d * v[1], 2 * a * v[1]
        rows = [
            [h11, -c * d, -b * d, h14 - b * c],
            [-c * d, 2 * v[0] + zero, -a * d, -a * c],
            [-b * d, -a * d, zero, -a * b],
            [h14 - b * c, -a * c, -a * b, 2 * v[2] + zero],
        ]
        return self.xp.stack([self.xp.stack(row) for row in rows])

    def solve(self, **options):
        constraint = NonlinearConstraint(self.con, 0.0, 0.0, jac=self.jac)
        options = {"lagrangian_hess": self.hess} | options
        return numopt.minimize_equality(
            self.fun, self.x0, jac=self.grad, constraints=constraint, **options
        )


def kkt_errors(program, x):
    """Return both residuals of a point, with multipliers computed here by an orthogonal method."""
    g, G, c = program.grad(x), program.jac(x), np.asarray(program.con(x))
    lam = np.linalg.lstsq(G.T, -g, rcond=None)[0]
    return np.abs(g + G.T @ lam).max() / max(1, np.abs(g).max()), np.abs(c).max(), lam
