"""The convex program in normalized units, and the linear maps every method shares.

Layouts, for n samples, d features, P patterns and C outputs: neurons (..., 2, P, d), where index 0
of the axis of length 2 holds those that add to the prediction and index 1 those that subtract;
values of samples under patterns (..., P, n); predictions (..., n). A leading axis C is there
where several outputs are solved together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._losses.pointwise import Loss


class Program(NamedTuple):
    """``min loss(z, y) + beta sum |v_i| + |w_i|`` over neurons in the cones of their patterns.

    `X` (n, d) has rows of root mean square norm one, `y` (C, n) for squared loss root mean square
    one; `active` (P, n) holds ones where a pattern is on and `signs` is ``2 active - 1``.
    `gates` (P, d) are vectors inside the cones. An original neuron is `unit` times the one here,
    and an original value `value_unit` times the one here. `eps` (d,) is the radius of the
    perturbations in the units of X, None without any.
    """

    X: Array
    y: Array
    weights: Array
    active: Array
    signs: Array
    gates: Array
    beta: float
    loss: Loss
    unit: float = 1.0
    value_unit: float = 1.0
    eps: Array | None = None
    robust: str = "pattern"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, features and patterns."""
        return self.X.shape[0], self.X.shape[1], self.active.shape[0]

    @property
    def narrowed(self) -> bool:
        """Whether perturbations narrow the cones of the patterns."""
        return self.eps is not None and self.robust == "pattern"

    def output(self, c: int) -> Program:
        """Return the program of one output."""
        return self._replace(y=self.y[c : c + 1, :])


def normalized(
    X: Array,
    y: Array,
    weights: Array,
    active: Array,
    gates: Array,
    beta: float,
    loss: Loss,
    eps: Array | None,
    robust: str,
) -> Program:
    """Return the program in units in which one set of penalties serves all data."""
    xp = array_namespace(X)
    row = math.sqrt(_mean_square(X) * X.shape[1]) or 1.0
    height = 1.0
    if loss.scales:
        height = math.sqrt(_mean_square(y)) or 1.0
    norms = xp.sqrt(xp.sum(gates * gates, axis=1, keepdims=True))
    return Program(
        X / row,
        y / height,
        weights,
        active,
        2 * active - 1,
        gates / xp.where(norms > 0, norms, xp.ones_like(norms)),
        beta / (row * height),
        loss,
        height / row,
        height * height,
        None if eps is None else eps / row,
        robust,
    )


def _mean_square(x: Array) -> float:
    xp = array_namespace(x)
    peak = float(xp.max(xp.abs(x)))
    if peak == 0:
        return 0.0
    return peak**2 * float(xp.mean((x / peak) ** 2))


def responses(program: Program, V: Array) -> Array:
    """Return ``X v`` for each neuron of `V` (..., d), shape (..., n)."""
    xp = array_namespace(V)
    flat = xp.matmul(xp.reshape(V, (-1, V.shape[-1])), program.X.T)
    return xp.reshape(flat, (*V.shape[:-1], program.X.shape[0]))


def combined(program: Program, T: Array) -> Array:
    """Return ``X' t`` for each row of `T` (..., n), shape (..., d)."""
    xp = array_namespace(T)
    flat = xp.matmul(xp.reshape(T, (-1, T.shape[-1])), program.X)
    return xp.reshape(flat, (*T.shape[:-1], program.X.shape[1]))


def predictions(program: Program, XV: Array) -> Array:
    """Return what responses (..., 2, P, n) add up to, shape (..., n)."""
    xp = array_namespace(XV)
    return xp.sum(program.active * (XV[..., 0, :, :] - XV[..., 1, :, :]), axis=-2)


def slacks(program: Program, V: Array) -> Array:
    """Return by how much neurons (..., 2, P, d) are inside their cones, (..., 2, P, n)."""
    inside = program.signs * responses(program, V)
    if not program.narrowed:
        return inside
    xp = array_namespace(V)
    return inside - xp.sum(program.eps * xp.abs(V), axis=-1)[..., None]


def adjoint(program: Program, theta: Array) -> Array:
    """Return the adjoint of the prediction: ``+-X' D_i theta``, shape (..., 2, P, d)."""
    xp = array_namespace(theta)
    half = combined(program, program.active * theta[..., None, :])
    return xp.stack([half, -half], axis=-3)


def group_norms(V: Array) -> Array:
    """Return the Euclidean norm over the last axis."""
    xp = array_namespace(V)
    return xp.sqrt(xp.sum(V * V, axis=-1))


def per_output(x: Array) -> Array:
    """Return the sum over all but the first axis."""
    xp = array_namespace(x)
    return xp.sum(xp.reshape(x, (x.shape[0], -1)), axis=1)


def widened(program: Program) -> Program:
    """Return the program in float64 where the device has it, for what decides success."""
    xp, wide = array_namespace(program.X), widest_float(program.X)
    if program.X.dtype == wide:
        return program
    arrays = ("X", "y", "weights", "active", "signs", "gates", "eps")
    held = {name: getattr(program, name) for name in arrays}
    return program._replace(
        **{name: xp.astype(x, wide) for name, x in held.items() if x is not None}
    )


def zeros_like_neurons(program: Program) -> Array:
    """Return neurons of zero for all outputs, (C, 2, P, d)."""
    xp = array_namespace(program.X)
    _, d, patterns = program.shape
    shape = (program.y.shape[0], 2, patterns, d)
    return xp.zeros(shape, dtype=program.X.dtype, device=device_of(program.X))


def with_bias(X: Array) -> Array:
    """Return samples with a last column of ones."""
    xp = array_namespace(X)
    ones = xp.ones((X.shape[0], 1), dtype=X.dtype, device=device_of(X))
    return xp.concat([X, ones], axis=1)
