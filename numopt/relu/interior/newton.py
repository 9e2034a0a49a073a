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

from ..._conic.cones import Scaling, curvature_blocks
from ..._conic.groups import Solver
from ..._conic.losses import Term, loss_term
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


class Neurons:
    """The convex program of one output as a problem over groups, its neurons (2, P, d)."""

    def __init__(self, program: Program) -> None:
        self.program, self.beta = program, program.beta
        self.term: Term = loss_term(program.loss, program.y[0, :], program.weights)
        n, d, patterns = program.shape
        self._by_samples = n <= max(patterns * d, _FEW_SAMPLES)
        self.corrections = _CORRECTIONS if self._by_samples else _MORE_CORRECTIONS

    def image(self, u: Array) -> tuple[Array, Array]:
        """Return the slacks (2, P, n) and the predictions (n,)."""
        Xu = responses(self.program, u)
        return self.program.signs * Xu, predictions(self.program, Xu)

    def adjoint(self, mu: Array) -> Array:
        """Return ``X' E mu``."""
        return combined(self.program, self.program.signs * mu)

    def gradient(self, u: Array, theta: Array) -> Array:  # noqa: ARG002
        """Return the gradient of the loss."""
        return -adjoint(self.program, theta)

    def constant(self) -> float:
        """Return the gradient that is there without any loss."""
        return 0.0

    def solver(self, scaling: Scaling, ratio: Array, resistance: Array) -> Solver | None:
        """Return what solves Newton's system, None where rounding leaves no factor."""
        program, xp = self.program, array_namespace(ratio)
        inverses = inverse_factors(_blocks(program, scaling, ratio))
        if inverses is None:
            return None
        of_loss = diagonal_plus_gram(resistance, _basis(program, inverses), self._by_samples)
        if of_loss is None:
            return None

        def of_blocks(b: Array) -> Array:
            """Return ``H^-1 b``."""
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
