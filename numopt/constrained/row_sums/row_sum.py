"""Objectives that are sums over the rows of a matrix, wherever the rows lie."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any, NamedTuple

from ..._core import random, validate
from ..._core.namespace import Array, array_namespace, device_of, inner
from ..._core.settings import is_sparse
from ..._rows import RowBlocks, SparseRows, beside_like, is_array_like, is_dask
from ...sketching import SparseSign
from .loss import Named, Want, block_sums, check_beside, read_loss, sparse_sums


class RowSum:
    r"""Sum of a loss over the rows of a matrix, with its gradient and its Hessian.

    .. math:: f(x) = \sum_{i=1}^n w_i \, \varphi(a_i^\top x, b_i) + \frac{\rho}{2} \|x\|_2^2

    The objective of regression, in the form that `minimize_equality` takes as its `fun`: value and
    derivatives come from passes over the rows :math:`a_i`, which may lie in memory, in files or
    on a cluster. It can be called, and has the methods that other optimizers want.

    Parameters
    ----------
    A : array, sparse matrix, or source of rows, shape (n, d)
        The rows: an array of any library, a data frame or lists, a SciPy sparse matrix, a memory
        map, a Dask array, whatever else `row_blocks` takes and can be read again. Real and finite;
        integers count as the default float.
    b : array, shape (n,), optional
        Targets, a Dask array if `A` is one, or numbers in memory. Needed by all losses with a
        name: -1 or 1 for ``"logistic"``, non-negative for ``"poisson"``.
    loss : str or tuple of three functions, default "squared"
        With the margin :math:`m = a_i^\top x`: ``"squared"`` is :math:`(m - b)^2 / 2`,
        ``"logistic"`` is :math:`\log(1 + e^{-b m})`, ``"poisson"`` is :math:`e^m - b m`, and
        ``"huber"`` is squared up to `threshold`, linear beyond. Functions ``(value, slope,
        curvature)`` take margins and targets of some rows, two arrays of one shape (None where
        there is no `b`), and return :math:`\varphi` and its first and second derivative in m, in
        that shape.
    weights : array, shape (n,), optional
        Non-negative weights, in the same form as `b`. Default is one each.
    ridge : float, default 0.0
        The factor :math:`\rho`, not negative.
    mean : bool, default False
        Divide the sum over rows (not the ridge) by n.
    threshold : float, default 1.0
        Residual, in units of `b`, from which on ``"huber"`` is linear.
    sketch_size : int, optional
        Rows of a sketch from which the Hessian is formed, more than d. Default: no sketch, the
        exact Hessian.
    rng : None, int or numpy.random.Generator, optional
        For the sketches.

    Attributes
    ----------
    shape : tuple of int
        ``(n, d)``.
    sketch_size : int or None
        As given.
    n_passes : int
        Passes over the rows so far; with Dask a barrier each.
    n_blocks, n_retries : int
        Chunks of a Dask array (1 for all else), and how often a pass over it was repeated.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or `A` can be read once only.
    ValueError
        If shapes do not match, a number is not finite, targets do not fit the loss, or an option
        is out of range. What lies in chunks of a Dask array is looked at in the first pass, and
        the rows are named.

    See Also
    --------
    minimize_equality : minimizes it subject to equations.
    row_blocks : sources of rows, and the size of their blocks.
    lstsq : the squared loss without constraints.

    Notes
    -----
    Value and gradient are one pass and are kept for the last x, so that asking for one after
    the other reads the rows once: 4 n d operations. The Hessian :math:`A^\top \mathrm{diag}(w_i
    \varphi_i'') A` takes :math:`n d^2`. In memory it is a pass of its own. Where rows have to be
    read or fetched, the pass that finds the value forms the Hessian, too, unless the last one
    that did was in vain: a solver that accepts its first trial point needs one pass an
    iteration, and at most two beside those for points it rejects. What comes back from a block
    is d^2 + d + 1 numbers; nothing of length n is ever gathered.

    With a sketch the Hessian is :math:`(S C A)^\top S C A`, :math:`C^2 = \mathrm{diag}(w_i
    \varphi_i'')`, for a sparse random S of `sketch_size` rows, new for each x [1]_: 8 n d
    operations and :math:`d^2` for each row of S, at a relative error of about
    :math:`\sqrt{d / m}` in the Newton step, m the size. Convergence is then linear at about that
    rate. It pays for hundreds of columns and very many rows.

    Everything is computed in the wider dtype of `A` and x and returned in that of x. A point is
    recognized by its entries. The objective can be pickled if its source can.

    References
    ----------
    .. [1] M. Pilanci, M. J. Wainwright, "Newton Sketch: A Near Linear-Time Optimization Algorithm
       with Linear-Quadratic Convergence", SIAM J. Optim. 27(1), 2017, arXiv:1505.02250.

    Examples
    --------
    Logistic regression whose coefficients sum to zero:

    >>> import numpy as np
    >>> import numopt
    >>> from scipy.optimize import LinearConstraint
    >>> rng = np.random.default_rng(0)
    >>> A = rng.normal(size=(500, 3))
    >>> b = np.where(A @ [1.0, -2.0, 1.0] + rng.logistic(size=500) > 0, 1.0, -1.0)
    >>> objective = numopt.RowSum(A, b, loss="logistic", mean=True)
    >>> result = numopt.minimize_equality(
    ...     objective, np.zeros(3), constraints=LinearConstraint(np.ones((1, 3)), 0, 0)
    ... )
    >>> result.success, result.hess_mode
    (True, 'exact')
    >>> bool(abs(result.x.sum()) < 1e-12)
    True

    A loss of one's own is three functions:

    >>> loss = (
    ...     lambda m, b: np.sqrt(1 + (m - b) ** 2),
    ...     lambda m, b: (m - b) / np.sqrt(1 + (m - b) ** 2),
    ...     lambda m, b: (1 + (m - b) ** 2) ** -1.5,
    ... )
    >>> numopt.RowSum(A, b, loss=loss)(np.zeros(3)) / 500
    1.4142135623730951
    """

    def __init__(
        self,
        A: Any,
        b: Array | None = None,
        *,
        loss: Any = "squared",
        weights: Array | None = None,
        ridge: float = 0.0,
        mean: bool = False,
        threshold: float = 1.0,
        sketch_size: int | None = None,
        rng: Any = None,
    ) -> None:
        self._loss = read_loss(loss, threshold)
        self._rows = _read_rows(A)
        n, d = self.shape = self._rows.shape
        if b is None and isinstance(self._loss, Named):
            raise ValueError(f"`b` must be given for loss={loss!r}.")
        self._b, self._weights = self._beside("b", b), self._beside("weights", weights)
        beside = {"b": self._b, "weights": self._weights}
        like = {name: beside_like(self._rows.cluster, v) for name, v in beside.items()}
        self._own = validate.common_float(A=self._rows.like, **like)
        check_beside(self._loss, *(None if is_dask(v) else v for v in beside.values()), place="")
        self._check = any(map(is_dask, beside.values()))
        self._ridge = validate.real("ridge", ridge)
        if not 0 <= self._ridge < float("inf"):
            raise ValueError(f"`ridge` must be non-negative and finite, got {ridge!r}.")
        self._scale = 1 / n if validate.flag("mean", mean) else 1.0
        if sketch_size is not None:
            sketch_size = validate.at_least(d + 1, "sketch_size", sketch_size)
        self.sketch_size = sketch_size
        self._rng = random.generator(rng)
        self._known: _Known | None = None
        # Whether a Hessian that comes with the value is likely to be asked for.
        self._ahead = self._rows.mapped or not self._rows.in_memory
        self._expected = True

    def __repr__(self) -> str:
        """Return the size of the sum, and its loss."""
        n, d = self.shape
        return f"RowSum of {n} rows, {d} coefficients, {self._loss.name} loss"

    def _beside(self, name: str, v: Any) -> Any:
        """Return what lies beside the rows, a number each: in memory, or in their chunks."""
        if v is not None and not is_dask(v):
            _, v = validate.arrays(A=self._rows.like, **{name: v})
        return self._rows.beside(name, v)

    @property
    def n_passes(self) -> int:
        """Passes over the rows so far."""
        return self._rows.n_passes

    @property
    def n_blocks(self) -> int:
        """Chunks of a Dask array, 1 for any other source."""
        return self._rows.n_blocks

    @property
    def n_retries(self) -> int:
        """How often a pass had to be repeated on a cluster."""
        return self._rows.n_retries

    def __call__(self, x: Array) -> float:
        """Return f(x)."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Array) -> Array:
        """Return the gradient (d,) at x (d,)."""
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return f(x) and the gradient (d,), from one pass."""
        x = self._point(x)
        known = self._at(x)
        if known is None:
            ahead = self._ahead and self._expected
            known = self._pass(x, Want(True, ahead))
            if ahead:
                self._expected = False  # until it is asked for
        return known.value, _copied(known.gradient)

    def hessian(self, x: Array) -> Any:
        """Return the Hessian (d, d) at x, or the sketch that stands for it."""
        x = self._point(x)
        known = self._at(x)
        if known is None or known.hessian is None:
            known = self._pass(x, Want(known is None, True), known)
        self._expected = True
        return known.hessian.copy() if is_sparse(known.hessian) else _copied(known.hessian)

    def exact(self) -> RowSum:
        """Return the same objective with exact Hessians."""
        exact = copy(self)
        exact.sketch_size, exact._known = None, None
        return exact

    def _point(self, x: Array) -> Array:
        _, x = validate.arrays(A=self._rows.like, x=x)
        dtype = validate.common_float(x=x)
        x = validate.as_array("x", x, ndim=1, dtype=dtype)
        return validate.same_shape("x", x, self.shape[1:], "A")

    def _at(self, x: Array) -> _Known | None:
        """Return what is known at x, None if nothing is."""
        known = self._known
        if known is None or known.x.dtype != x.dtype:
            return None
        return known if bool(array_namespace(x).all(known.x == x)) else None

    def _pass(self, x: Array, want: Want, known: _Known | None = None) -> _Known:
        """Return what one pass tells of x, together with what was known."""
        xp = array_namespace(x)
        want = want._replace(check=self._check)
        if want.hessian and self.sketch_size is not None:
            want = want._replace(sketch=SparseSign(self.sketch_size, self.shape[0], rng=self._rng))
        self._rows.dtype = xp.result_type(self._own, x.dtype)
        wide = xp.astype(x, self._rows.dtype, copy=False)
        sums = sparse_sums if isinstance(self._rows, SparseRows) else block_sums
        work = partial(sums, self._loss, self.shape[0], wide, want)
        found = list(self._rows.fold(work, self._b, self._weights))
        self._check = False
        if want.gradient:
            total, gradient = found[:2]
            known = self._with_ridge(x, float(total[0]), gradient)
        hessian = self._formed(found[-1], want, x) if want.hessian else None
        assert known is not None
        self._known = known._replace(hessian=hessian)
        return self._known

    def _with_ridge(self, x: Array, total: float, gradient: Array) -> _Known:
        xp = array_namespace(x)
        value = self._scale * total + 0.5 * self._ridge * inner(x, x)
        gradient = xp.astype(self._scale * gradient, x.dtype) + self._ridge * x
        return _Known(_copied(x), value, gradient, None)

    def _formed(self, found: Any, want: Want, x: Array) -> Any:
        """Return the Hessian from its sum over rows, or from a sketch."""
        H = found if want.sketch is None else found.T @ found
        if is_sparse(H):
            from scipy.sparse import eye_array

            return (self._scale * H + self._ridge * eye_array(H.shape[0])).tocsc().astype(x.dtype)
        xp, d = array_namespace(x), self.shape[1]
        identity = xp.eye(d, dtype=x.dtype, device=device_of(x))
        return xp.astype(self._scale * H, x.dtype) + self._ridge * identity


class _Known(NamedTuple):
    """A point with what a pass has told of it."""

    x: Array
    value: float
    gradient: Array
    hessian: Any


def _read_rows(A: Any) -> RowBlocks | SparseRows:
    """Return the rows of a matrix in any of its forms."""
    if is_sparse(A):
        rows = SparseRows("A", A, dense=False)
        validate.finite("A.data", rows.like)
        return rows
    if is_array_like(A):
        (A,) = validate.arrays(A=A)
    return RowBlocks("A", A)


def _copied(x: Array) -> Array:
    """Return a copy: what is kept for a point stays as it is."""
    return array_namespace(x).asarray(x, copy=True)
