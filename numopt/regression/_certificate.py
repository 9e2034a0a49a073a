"""What is measured on a solution: functions of the problem and of what is returned alone.

`root` (d, r) is an approximate inverse square root of the normal matrix: ``root' A' A root`` is
close to the identity of its rank. Any will do; `verify` makes its own.
"""

from __future__ import annotations

from .. import _linalg
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Check


def backward_errors(
    x: Array,
    gradient: Array,
    squares: Array,
    norm_b: Array,
    *,
    norm: float,
    root: Array,
    overlap: Array,
) -> Array:
    r"""Return estimates of the backward errors of the columns of x (d, k), relative to ``|A|_F``.

    With the gradient :math:`A^\top r`, the `squares` :math:`\|r\|^2`,
    :math:`\theta = \|A\|_F / \|b\|` and :math:`t = 1 + \theta^2 \|x\|^2`,

    .. math:: \frac{\theta}{\sqrt t \|A\|_F}
              \left\| (A^\top A + \mu I)^{-1/2} A^\top r \right\|,
              \quad \mu = \theta^2 \|r\|^2 / t,

    which is within a factor of 2 of the smallest perturbation of A and b for which x is optimal
    (Waldén, Karlson and Sun 1995; Gratton, Jiránek and Titley-Peloquin 2012). The inverse
    is taken as ``P (I + mu P'P)^{-1} P'`` for the `root` P, `overlap` being ``P'P``.
    """
    xp = array_namespace(x)
    z = xp.matmul(root.T, gradient)
    identity = xp.eye(root.shape[1], dtype=root.dtype, device=device_of(root))
    theta = norm / norm_b
    t = 1 + (theta * xp.linalg.vector_norm(x, axis=0)) ** 2
    errors = []
    for k in range(x.shape[1]):
        mu = theta[k] ** 2 * squares[k] / t[k]
        L = _linalg.cholesky(identity + mu * overlap)
        part = z[:, k] if L is None else _linalg.solve_triangular(L, z[:, k])
        errors.append(xp.linalg.vector_norm(part) / (norm_b[k] * xp.sqrt(t[k])))
    return xp.stack(errors)


def positive_norms(norms: Array) -> Array:
    """Return the norms of the columns of b, one where a column is zero."""
    xp = array_namespace(norms)
    return xp.where(norms > 0, norms, xp.ones_like(norms))


def relative_size(change: Array, x: Array, floor: Array) -> float:
    """Return the largest change of a coordinate relative to it or, if larger, to a floor."""
    xp = array_namespace(x)
    size = xp.maximum(xp.abs(x), floor)
    positive = size > 0
    ratio = xp.where(positive, xp.abs(change) / xp.where(positive, size, xp.ones_like(size)), 0.0)
    return float(xp.max(ratio))


def optimality(backward_error: float, tol: float) -> list[Check]:
    """Return the check of a solution that was refined."""
    return [Check("backward error", backward_error, tol, "of the norm of A")]
