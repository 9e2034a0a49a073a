"""A loss of predictions and the norms of groups of variables, under linear inequalities.

    min  loss(F u) + q(u) + beta sum |u_j|     subject to  C u >= 0

with a quadratic q: each norm is bounded by a t, the inequalities have slacks s with multipliers mu,
and the multiplier lam of a second-order cone satisfies ``|lam| <= beta``. Newton's system is

    H u + F' g + q'' u = b,        F u - h g = c,

with one block of H for each group and h the inverse curvature of the loss. Who has the problem
knows its matrices, and solves this as well as their factors allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace
from .cones import (
    Element,
    Scaling,
    curvature,
    nesterov_todd,
    orthant_residual,
    quotient,
    second_order_residual,
    unscaled,
)
from .losses import Term
from .predictor_corrector import Iterate, Pairs, predictor_corrector

Solver = Callable[[Array, Array], tuple[Array, Array]]


class Point(NamedTuple):
    """An iterate, or a change of one.

    Elements (t, u) of the cones and their multipliers (beta, lam), slacks and theirs, the pairs of
    the loss, and the images C u and F u of the groups.
    """

    cone: Element
    cone_dual: Element
    slack: Array
    multiplier: Array
    loss: Pairs
    image: tuple[Array, Array]

    @property
    def u(self) -> Array:
        """The groups."""
        return self.cone.tail


class Groups(NamedTuple):
    """A problem: the weight of the norms, the loss, its linear maps, its Newton systems.

    `image` maps u to C u and F u, `adjoint` mu to C' mu. The gradient is `gradient` of u and theta,
    ``q'' u - F' theta``, plus `constant`. `solver` returns, for a scaling, multipliers over slacks
    (the weights of C in H) and h, what solves Newton's system for b and c, None where rounding
    leaves no factor; solutions are corrected by their residuals `corrections` times.
    """

    beta: float
    term: Term
    image: Callable[[Array], tuple[Array, Array]]
    adjoint: Callable[[Array], Array]
    gradient: Callable[[Array, Array], Array]
    constant: Any
    solver: Callable[[Scaling, Array, Array], Solver | None]
    corrections: int


def first_point(problem: Groups, u: Array) -> Point:
    """Return a point well inside all cones, for groups of zero; it satisfies no equation yet.

    All products are 1, which in normalized units was tuned on breast cancer with three losses: a
    tenth or ten times of it took up to half as many more iterations.
    """
    xp = array_namespace(u)
    image = problem.image(u)
    one, beta = xp.ones_like(image[0]), problem.beta + 0 * u[..., 0]
    return Point(
        Element(1 / beta, u), Element(beta, u), one, one, problem.term.start(image[1]), image
    )


def theta_of(problem: Groups, point: Point) -> Array:
    """Return minus the slope of the loss."""
    return problem.term.theta(point.image[1], point.loss)


def stationarity(problem: Groups, point: Point) -> Array:
    """Return the gradient of the Lagrangian in the groups."""
    gradient = problem.gradient(point.u, theta_of(problem, point)) + problem.constant
    return gradient - problem.adjoint(point.multiplier) - point.cone_dual.tail


def in_cones(point: Point) -> Pairs:
    """Return the pairs of what is in cones and its multiplier."""
    return ((point.slack, point.multiplier), (point.cone, point.cone_dual), *point.loss)


def newton_step(problem: Groups, point: Point, *, recenter_below: float = 0.0) -> Iterate[Point]:
    """Return the next iterate; `recenter_below` as in `predictor_corrector`."""
    xp, term = array_namespace(point.slack), problem.term
    scaling = nesterov_todd(point.cone, point.cone_dual)
    w, ratio = scaling.w, point.multiplier / point.slack
    h = term.resistance(point.image[1], point.loss)
    solver = problem.solver(scaling, ratio, h)
    if solver is None:
        return Iterate(point, 0.0)
    residual, missing = stationarity(problem, point), point.image[0] - point.slack

    def solve(b: Array, c: Array) -> tuple[Array, Array]:
        u, g = solver(b, c)
        for _ in range(problem.corrections):
            Cu, Fu = problem.image(u)
            rest = b - curvature(scaling, u) - problem.adjoint(ratio * Cu)
            du, dg = solver(rest - problem.gradient(u, -g), c - Fu + h * g)
            u, g = u + du, g + dg
        return u, g

    def direction(target: Any, affine: Point | None) -> Point:
        slacks, cones, *_ = (None, None) if affine is None else in_cones(affine)
        own = None if affine is None else affine.loss
        products = orthant_residual((point.slack, point.multiplier), target, slacks)
        rest = quotient(second_order_residual(scaling, target, cones), scaling.middle)
        rest = unscaled(scaling, rest)
        push = rest.tail + (scaling.rank_one * w.head * rest.head)[..., None] * w.tail
        b = push - residual + problem.adjoint(products / point.slack - ratio * missing)
        u, g = solve(b, term.offset(point.image[1], point.loss, target, own))
        image = problem.image(u)
        slack = image[0] + missing
        mu = (products - point.multiplier * slack) / point.slack
        along = xp.sum(w.tail * u, axis=-1)
        t = scaling.rank_one * (0.5 * scaling.eta**2 * rest.head + w.head * along)
        # From stationarity, which then holds to rounding, whatever the blocks lost.
        lam = residual + problem.gradient(u, -g) - problem.adjoint(mu)
        loss = term.change(point.loss, g, image[1], target, own)
        return Point(Element(t, u), Element(0 * t, lam), slack, mu, loss, image)

    return predictor_corrector(point, in_cones, direction, recenter_below=recenter_below)
