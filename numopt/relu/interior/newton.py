"""Newton's systems of the convex program, which use its structure.

The slacks of neurons u (2, P, d) are ``E X u`` and their predictions ``sum (+-) D X u``, so that
Newton's system has one d by d block H for each neuron, plus the loss, which only sees n
predictions:

    H u + (+-) X' D g = b,        sum (+-) D X u - h g = c,

with h the inverse curvature of the loss. Eliminating the neurons leaves the n by n matrix
``h + sum D X H^-1 X' D``, or one with P d rows where that is smaller: no cost grows with the 2 n P
constraints but that of forming the blocks.
"""

from __future__ import annotations

from functools import partial

from ..._conic.cones import Scaling, curvature_blocks
from ..._conic.groups import Groups, Solver
from ..._conic.losses import loss_term
from ..._conic.systems import diagonal_plus_gram, inverse_factors
from ..._core.namespace import Array, array_namespace, device_of
from .._program import Program, adjoint, combined, predictions, responses

# Corrections of a direction by its residual. The blocks reach condition numbers of 1e15, and these
# remove what rounding then does to their factors; more where the loss is not solved for by samples,
# as large numbers then cancel.
_CORRECTIONS, _MORE_CORRECTIONS = 1, 4
# Up to so many samples their matrix is factored, even where that of the neurons is smaller: the
# latter loses digits where the loss has points at which it is not smooth.
_FEW_SAMPLES = 2500
# Entries of the n by P d factor of the loss that are formed at once.
_CHUNK_ENTRIES = 16_000_000


def neurons(program: Program) -> Groups:
    """Return the convex program of one output as a problem over groups, its neurons (2, P, d)."""
    n, d, patterns = program.shape
    by_samples = n <= max(patterns * d, _FEW_SAMPLES)

    def image(u: Array) -> tuple[Array, Array]:
        Xu = responses(program, u)
        return program.signs * Xu, predictions(program, Xu)

    return Groups(
        beta=program.beta,
        term=loss_term(program.loss, program.y[0, :], program.weights),
        image=image,
        adjoint=lambda mu: combined(program, program.signs * mu),
        gradient=lambda _, theta: -adjoint(program, theta),
        constant=0.0,
        solver=partial(_solver, program, by_samples),
        corrections=_CORRECTIONS if by_samples else _MORE_CORRECTIONS,
    )


def _solver(
    program: Program, by_samples: bool, scaling: Scaling, ratio: Array, h: Array
) -> Solver | None:
    """Return what solves Newton's system, None where rounding leaves no factor."""
    xp = array_namespace(ratio)
    inverses = inverse_factors(_blocks(program, scaling, ratio))
    if inverses is None:
        return None
    of_loss = diagonal_plus_gram(h, _basis(program, inverses), by_samples)
    if of_loss is None:
        return None

    def of_blocks(b: Array) -> Array:
        return xp.matmul(inverses.mT, xp.matmul(inverses, b[..., None]))[..., 0]

    def solve(b: Array, c: Array) -> tuple[Array, Array]:
        g = of_loss(predictions(program, responses(program, of_blocks(b))) - c)
        return of_blocks(b - adjoint(program, g)), g

    return solve


def _blocks(program: Program, scaling: Scaling, ratio: Array) -> Array:
    """Return the blocks H, (2, P, d, d)."""
    xp, X, (n, d, patterns) = array_namespace(ratio), program.X, program.shape
    weights = xp.reshape(ratio, (2 * patterns, n))
    size = max(1, _CHUNK_ENTRIES // (n * d))
    parts = [
        xp.matmul((weights[k : min(k + size, 2 * patterns), :, None] * X).mT, X[None, :, :])
        for k in range(0, 2 * patterns, size)
    ]
    identity = xp.eye(d, dtype=X.dtype, device=device_of(X))
    return xp.reshape(xp.concat(parts), (2, patterns, d, d)) + curvature_blocks(scaling, identity)


def _basis(program: Program, inverses: Array) -> Array:
    """Return R, (P d, n), such that ``R' R = sum (+-) D X H^-1 X' D`` over all neurons."""
    xp = array_namespace(inverses)
    n, d, patterns = program.shape
    pairs = xp.concat([inverses[0, ...], inverses[1, ...]], axis=1)
    # Both neurons of a pattern see the loss through one factor of the sum of their inverses.
    R = xp.linalg.qr(pairs, mode="reduced")[1]
    rows = xp.matmul(xp.reshape(R, (patterns * d, d)), program.X.T)
    masked = xp.reshape(rows, (patterns, d, n)) * program.active[:, None, :]
    return xp.reshape(masked, (patterns * d, n))
