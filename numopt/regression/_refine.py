"""Iterative refinement: corrections from recomputed residuals, down to the backward error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _linalg
from .._core.iterate import Callback, Run, iterate
from .._core.namespace import Array, array_namespace, device_of
from ._design import Design
from ._precondition import Preconditioner

STAGNATED = 3


class State(NamedTuple):
    """An iterate (d, k) with the gradient and the sums of squares of its recomputed residual.

    `change` is the next correction, None where it takes inner iterations that may not be needed.
    """

    x: Array
    gradient: Array
    squares: Array
    change: Array | None = None


def backward_error(preconditioner: Preconditioner, state: State, norm_b: Array) -> Array:
    r"""Return estimates of the backward errors of the columns of an iterate, relative to ``|A|_F``.

    With :math:`\theta = \|A\|_F / \|b\|` and :math:`t = 1 + \theta^2 \|x\|^2`,

    .. math:: \frac{\theta}{\sqrt t \|A\|_F}
              \left\| (A^\top A + \mu I)^{-1/2} A^\top r \right\|,
              \quad \mu = \theta^2 \|r\|^2 / t,

    which is within a factor of 2 of the smallest perturbation of A and b for which x is optimal
    (Waldén, Karlson and Sun 1995; Gratton, Jiránek and Titley-Peloquin 2012). The inverse
    is taken as ``P (I + mu P'P)^{-1} P'``.
    """
    xp = array_namespace(state.x)
    P, norm = preconditioner.P, preconditioner.norm
    z = xp.matmul(P.T, state.gradient)
    identity = xp.eye(P.shape[1], dtype=P.dtype, device=device_of(P))
    theta = norm / norm_b
    t = 1 + (theta * xp.linalg.vector_norm(state.x, axis=0)) ** 2
    errors = []
    for k in range(state.x.shape[1]):
        mu = theta[k] ** 2 * state.squares[k] / t[k]
        L = _linalg.cholesky(identity + mu * preconditioner.overlap)
        part = z[:, k] if L is None else _linalg.solve_triangular(L, z[:, k])
        errors.append(xp.linalg.vector_norm(part) / (norm_b[k] * xp.sqrt(t[k])))
    return xp.stack(errors)


def refine(
    design: Design,
    preconditioner: Preconditioner,
    b: Array,
    x: Array,
    *,
    tol: float,
    maxiter: int,
    settle: bool,
    callback: Callback | None,
) -> Run[State]:
    """Return the run of corrections ``x += (A'A)^{-1} A'(b - A x)`` from an iterate (d, k).

    With `settle` it goes on until every coordinate, too, changes by at most `tol` of itself.
    """
    xp = array_namespace(design.like)
    norm_b = design.norms(b)
    norm_b = xp.where(norm_b > 0, norm_b, xp.ones_like(norm_b))
    P = preconditioner.P
    # The largest that a coordinate can be is |e_j' A+| |b|; what is eps times that counts as zero.
    reach = xp.sqrt(xp.sum(P * P, axis=1))
    floor = float(xp.finfo(x.dtype).eps) * reach[:, None] * norm_b[None, :]
    # What a sketch alone makes of a gradient may be larger by the condition number.
    ahead = preconditioner.exact or (settle and maxiter > 0)
    seen: list[float] = []

    def evaluate(x: Array) -> State:
        state = State(x, *design.gradient(b, x))
        return state._replace(change=next_change(state)) if ahead else state

    def next_change(state: State) -> Array:
        return correction(design, preconditioner, state.gradient, maxiter)

    def step(state: State) -> State:
        return evaluate(state.x + (next_change(state) if state.change is None else state.change))

    def measure(state: State) -> dict[str, Any]:
        errors = backward_error(preconditioner, state, norm_b)
        change = state.change
        if change is None:
            change = xp.matmul(P, xp.matmul(P.T, state.gradient))
        record = {
            "error": float(xp.max(errors)),
            "backward_error": float(xp.max(errors)),
            "forward_error": relative_size(change, state.x, floor),
            "residual_norm": math.sqrt(max(0.0, float(xp.sum(state.squares)))),
            "grad_norm": float(xp.linalg.vector_norm(state.gradient)),
        }
        if settle:
            record["error"] = max(record["error"], record["forward_error"])
        seen.append(record["error"])
        return record

    def give_up(_: State) -> int | None:
        # Corrections contract by a constant; two in a row that do not halve the error are noise.
        stuck = len(seen) > 3 and min(seen[-2:]) > 0.5 * min(seen[:-2])
        return STAGNATED if stuck else None

    return iterate(
        evaluate(x), step, measure, tol=tol, maxiter=maxiter, callback=callback, give_up=give_up
    )


def relative_size(change: Array, x: Array, floor: Array) -> float:
    """Return the largest change of a coordinate relative to it or, if larger, to a floor."""
    xp = array_namespace(x)
    size = xp.maximum(xp.abs(x), floor)
    positive = size > 0
    ratio = xp.where(positive, xp.abs(change) / xp.where(positive, size, xp.ones_like(size)), 0.0)
    return float(xp.max(ratio))


def correction(
    design: Design, preconditioner: Preconditioner, gradient: Array, maxiter: int
) -> Array:
    """Return ``(A'A)^{-1}`` times a gradient (d, k), to half the digits at least."""
    xp = array_namespace(gradient)
    P = preconditioner.P
    z = xp.matmul(P.T, gradient)
    if preconditioner.exact:
        return xp.matmul(P, z)
    rtol = float(xp.finfo(gradient.dtype).eps) ** 0.5

    def apply(p: Array) -> tuple[Array, Array]:
        image, squares = design.gradient(None, xp.matmul(P, p))
        return -xp.matmul(P.T, image), squares

    return xp.matmul(P, conjugate_gradients(apply, z, rtol, maxiter))


def conjugate_gradients(
    apply: Callable[[Array], tuple[Array, Array]], z: Array, rtol: float, maxiter: int
) -> Array:
    """Return y with ``M y = z`` for each column; `apply` returns ``M p`` and ``p' M p``."""
    xp = array_namespace(z)
    y, residual, direction = xp.zeros_like(z), z, z
    rho = xp.sum(z * z, axis=0)
    target = rtol**2 * rho
    one = xp.ones_like(rho)
    for _ in range(maxiter):
        if not bool(xp.any(rho > target)):
            break
        image, curvature = apply(direction)
        # A column that has converged to zero stays where it is.
        active = (rho > target) & (curvature > 0)
        length = xp.where(active, rho / xp.where(active, curvature, one), 0.0 * one)
        y, residual = y + length * direction, residual - length * image
        previous, rho = rho, xp.sum(residual * residual, axis=0)
        direction = residual + rho / xp.where(previous > 0, previous, one) * direction
    return y
