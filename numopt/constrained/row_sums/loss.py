"""What a loss contributes to a sum over rows: of a block in memory, and of a sparse matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of
from ..._kernels import row_sums as kernels
from ..._kernels.least_squares import row_ranges
from ..._linalg import quiet
from ..._losses.pointwise import Smooth
from ..._rows.summaries import cut

Elementwise = Callable[[Array, Array | None], Array]


class Named(NamedTuple):
    """One of the losses that kernels know, by its code."""

    code: int
    threshold: float

    @property
    def name(self) -> str:
        """What the user calls it."""
        return kernels.LOSSES[self.code]

    def gradient(self, A: Array, b: Array, weights: Array | None, x: Array) -> tuple[Array, Array]:
        """Return the sum (1,) and its gradient (d,)."""
        return kernels.loss_gradient(A, b, weights, x, *self)

    def hessian(self, A: Array, b: Array, weights: Array | None, x: Array) -> Array:
        """Return the Hessian (d, d)."""
        return kernels.loss_hessian(A, b, weights, x, *self)

    @property
    def elementwise(self) -> Smooth:
        """Its values, slopes and curvatures."""
        return kernels.pointwise(*self)

    def check(self, name: str, b: Array) -> None:
        """Raise unless the targets are those of the loss."""
        xp = array_namespace(b)
        validate.finite(name, b)
        if self.code == kernels.LOGISTIC and not bool(xp.all(xp.abs(b) == 1)):
            other = float(b[xp.abs(b) != 1][0])
            raise ValueError(f"`{name}` must be -1 or 1 for loss='logistic', got {other:g}.")
        if self.code == kernels.POISSON:
            validate.non_negative(name, b)


class Custom(NamedTuple):
    """A loss given by functions of margins and targets: values, slopes and curvatures."""

    value: Elementwise
    slope: Elementwise
    curvature: Elementwise

    @property
    def name(self) -> str:
        """What it is called."""
        return "custom"

    @property
    def elementwise(self) -> Custom:
        """Its values, slopes and curvatures."""
        return self

    def gradient(
        self, A: Array, b: Array | None, weights: Array | None, x: Array
    ) -> tuple[Array, Array]:
        """Return the sum (1,) and its gradient (d,)."""
        return kernels.summed(self, A, b, weights, x)

    def hessian(self, A: Array, b: Array | None, weights: Array | None, x: Array) -> Array:
        """Return the Hessian (d, d)."""
        xp, d = array_namespace(A), A.shape[1]
        total = xp.zeros((d, d), dtype=A.dtype, device=device_of(A))
        for rows in row_ranges(*A.shape):
            block = A[rows, :]
            curvatures = self.curvatures(block @ x, cut(b, rows))
            curvatures = weighted(curvatures, cut(weights, rows))
            total = total + block.T @ (curvatures[:, None] * block)
        return total

    def values(self, margins: Array, b: Array | None) -> Array:
        """Return values (n,)."""
        return self._of("value", margins, b)

    def slopes(self, margins: Array, b: Array | None) -> Array:
        """Return first derivatives (n,)."""
        return self._of("slope", margins, b)

    def curvatures(self, margins: Array, b: Array | None) -> Array:
        """Return second derivatives (n,)."""
        return self._of("curvature", margins, b)

    def _of(self, name: str, margins: Array, b: Array | None) -> Array:
        found = getattr(self, name)(margins, b)
        if getattr(found, "shape", None) != margins.shape:
            shape = getattr(found, "shape", type(found).__name__)
            raise ValueError(
                f"`loss`: the {name} must have the shape of the margins, {tuple(margins.shape)}, "
                f"got {shape}."
            )
        return found


Loss = Named | Custom


def read_loss(loss: Any, threshold: Any) -> Loss:
    """Return the loss that a name or three functions stand for."""
    threshold = validate.positive("threshold", threshold)
    if isinstance(loss, str):
        name = validate.choice("loss", loss, kernels.LOSSES)
        return Named(kernels.LOSSES.index(name), threshold)
    if not isinstance(loss, tuple | list) or len(loss) != 3 or not all(map(callable, loss)):
        raise TypeError(
            "`loss` must be a name or three functions (value, slope, curvature), got "
            f"{type(loss).__name__}."
        )
    return Custom(*loss)


class Want(NamedTuple):
    """What a pass is to bring: value and gradient, the Hessian, or a sketch that stands for it."""

    gradient: bool
    hessian: bool
    sketch: Any = None
    check: bool = False  # whether what lies beside the rows is still to be looked at


def block_sums(
    loss: Loss,
    n: int,
    x: Array,
    want: Want,
    block: Array,
    rows: slice,
    b: Array | None,
    weights: Array | None,
) -> tuple[Array, ...]:
    """Return what some of n rows add to each sum that is wanted."""
    xp = array_namespace(block)
    b, weights = (in_dtype(v, block.dtype) for v in (b, weights))
    place = "" if block.shape[0] == n else f"[{rows.start}:{rows.stop}]"
    if want.check:
        check_beside(loss, b, weights, place=place)
    found: tuple[Array, ...] = ()
    with quiet():
        if want.gradient:
            found = loss.gradient(block, b, weights, x)
            if not all(bool(xp.all(xp.isfinite(sums))) for sums in found):
                validate.finite(f"A{place}", block)
        if want.sketch is not None:
            scale = roots(weighted(loss.elementwise.curvatures(block @ x, b), weights))
            found = (*found, want.sketch.partial(block, block[:, :0], scale, rows.start))
        elif want.hessian:
            found = (*found, loss.hessian(block, b, weights, x))
    return found


def check_beside(loss: Loss, b: Array | None, weights: Array | None, *, place: str) -> None:
    """Raise unless targets and weights, of the rows at a place, are what they must be."""
    if isinstance(loss, Named) and b is not None:
        loss.check(f"b{place}", b)
    elif b is not None:
        validate.finite(f"b{place}", b)
    if weights is not None:
        validate.non_negative(f"weights{place}", weights)


def sparse_sums(
    loss: Loss,
    _n: int,
    x: Array,
    want: Want,
    A: Any,
    _rows: slice,
    b: Array | None,
    weights: Array | None,
) -> tuple[Array, ...]:
    """Return the sums over all rows of a sparse matrix (n, d)."""
    xp = array_namespace(x)
    b, weights = (in_dtype(v, x.dtype) for v in (b, weights))
    margins, phi = A @ x, loss.elementwise
    found: tuple[Array, ...] = ()
    with quiet():
        if want.gradient:
            values, slopes = (weighted(of(margins, b), weights) for of in (phi.values, phi.slopes))
            found = xp.sum(values)[None], A.T @ slopes
        if want.hessian:
            curvatures = weighted(phi.curvatures(margins, b), weights)
            if want.sketch is None:
                found = (*found, sparse_gram(A, curvatures))
            else:
                rows = A.multiply(roots(curvatures)[:, None]).tocsr()
                found = (*found, want.sketch.apply(rows))
    return found


def sparse_gram(A: Any, weights: Array) -> Any:
    """Return ``A' diag(weights) A``, as a sparse matrix where a dense one would be large."""
    d = int(A.shape[1])
    if d <= MOST_DENSE:
        return kernels.csr_weighted_gram(A.data, A.indices, A.indptr, weights, d)
    return (A.T @ A.multiply(weights[:, None]).tocsr()).tocsc()


# Columns up to which the Hessian of a sparse matrix is dense: what LAPACK factors in a second.
MOST_DENSE = 3000


def in_dtype(values: Array | None, dtype: Any) -> Array | None:
    """Return numbers in a dtype, None for None."""
    return None if values is None else array_namespace(values).astype(values, dtype, copy=False)


def weighted(values: Array, weights: Array | None) -> Array:
    """Return values times weights, None for ones."""
    return values if weights is None else values * weights


def roots(curvatures: Array) -> Array:
    """Return square roots, having checked that there are some."""
    xp = array_namespace(curvatures)
    if bool(xp.any(curvatures < 0)):
        raise ValueError(
            "`loss` must be convex for a sketched Hessian, got a curvature of "
            f"{float(xp.min(curvatures)):.3g}; leave `sketch_size` out."
        )
    return xp.sqrt(curvatures)
