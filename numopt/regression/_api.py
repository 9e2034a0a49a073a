"""The public solvers of linear least squares."""

from __future__ import annotations

from typing import Any

import array_api_compat
import array_api_compat.numpy as host

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._core.random import generator
from .._rows import RowBlocks, beside_like
from ._design import Design, Products, Rows
from ._factor import METHODS, SKETCHES, Factor, Options, factorize, solve
from ._inputs import checked_weights, right_hand_sides
from ._precondition import default_rcond
from ._result import LstsqResult, Request

PRECISIONS = ("auto", "working", "extended")

# Up to this many entries the residual is computed in twice the working precision by default.
EXTENDED_ENTRIES = 1 << 14


def lstsq(
    A: Any,
    b: Array,
    *,
    method: str = "auto",
    tol: float | None = None,
    maxiter: int = 100,
    rng: Any = None,
    sketch: str = "srht",
    sketch_size: int | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    x0: Array | None = None,
    weights: Array | None = None,
    ridge: float = 0.0,
    rcond: float | None = None,
    precision: str = "auto",
    check_finite: bool = True,
    callback: Callback | None = None,
) -> LstsqResult:
    r"""Solve a linear least squares problem to a backward error that is measured.

    .. math:: \min_x \; \| W^{1/2} (A x - b) \|_2^2 + \lambda \| x \|_2^2

    for a tall matrix A: by its Gram matrix, by a sketch, or directly, and then refined with
    residuals computed anew. With ``method="sketch"`` the sketched solution itself is returned,
    every coordinate of which is accurate.

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator, dask array, sequence of arrays or callable
        The design, n rows and d columns. Real; integers become the default float of the library. An
        array in memory is used in place if it is in C order, otherwise block by block, and never
        copied as a whole. What does not fit memory: a memory map; a Dask array, worked on where
        its chunks are; a sequence of arrays with the same number of columns, or a callable that
        returns an iterator over such blocks anew each time; or whatever else `row_blocks` takes.
        SciPy's sparse matrices and linear operators are touched by products only.
    b : array, shape (n,) or (n, k)
        Right-hand sides; with a Dask array A they may be one.
    method : {"auto", "sketch", "cholqr", "iterative", "gram", "direct"}, default "auto"
        How the normal matrix is factorized. "gram": Cholesky factor of ``A'A``, where the condition
        number allows it. "cholqr": the same after a sketch has preconditioned A; for any condition
        number. "iterative": conjugate gradients preconditioned by a sketch; for sparse matrices,
        operators and many columns. "direct": QR, or singular values. "sketch": the solution of the
        sketched problem, without refinement. "auto" takes "direct" for few entries or fewer than 4
        rows a column, "gram" where a sample of the rows looks well-conditioned, otherwise "cholqr"
        up to 150 columns and "iterative" above; the message says which it was.
    tol : float, optional
        Largest backward error, relative to the Frobenius norm of A. Default: the machine epsilon of
        the dtype, 2.2e-16 for float64.
    maxiter : int, default 100
        Largest number of corrections and, for "iterative", of inner iterations in each.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the sketch.
    sketch : {"srht", "sparse_sign", "countsketch", "gaussian"}, default "srht"
        Kind of sketch; "srht" means "sparse_sign" for sparse matrices and operators. "countsketch"
        has no guarantee for single coordinates.
    sketch_size : int, optional
        Rows of the sketch, between 2 d and n. Default 4 d + 32 for "cholqr", 12 d + 32 for
        "iterative", 20 d + 32 for what is sparse; for "sketch" what `eps` and `delta` ask for.
    eps : float, optional
        For "sketch": with probability ``1 - delta`` every coordinate errs by at most
        ``eps / sqrt(d) R |A^+|``, R being the norm of the residual and ``|A^+|`` the inverse of the
        smallest singular value. In (0, 1), default 0.5. It takes ``2 d log(2 d / delta) / eps^2``
        rows.
    delta : float, default 0.01
        Probability, in (0, 1), with which that bound may fail.
    x0 : array, shape (d,) or (d, k), optional
        Where the refinement starts. Default: the sketched solution or zero.
    weights : array, shape (n,), optional
        Non-negative weights of the squared residuals, the diagonal of W.
    ridge : float, default 0.0
        The :math:`\lambda \ge 0` of the penalty.
    rcond : float, optional
        Singular values of A, with its columns scaled to unit length, at most `rcond` times the
        largest count as zero; there the solution of minimum norm is returned. Default
        ``max(30, d)`` times the machine epsilon.
    precision : {"auto", "working", "extended"}, default "auto"
        Precision of the residuals. "extended" computes them as if in twice the working precision,
        so that x itself, not only its backward error, is accurate to the last digit: for any
        condition number the refinement can handle where b is in the range of A, and up to about 1e8
        where the residual is large. It takes about 40 times the operations. "auto" does so up to
        16384 entries.
    check_finite : bool, default True
        Whether nan and infinity in A raise an error. Otherwise they give ``success=False``.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``backward_error``,
        ``residual_norm`` and ``grad_norm``; `StopIteration` ends the solve. See `ProgressBar`.

    Returns
    -------
    LstsqResult
        ``x``, ``fun``, ``residual_norm``, ``grad_norm``, ``backward_error``, ``forward_error``,
        ``tol``, ``success``, ``status``, ``message``, ``nit``, ``n_passes``, ``n_blocks``,
        ``n_retries``, ``method``, ``sketch``, ``sketch_size``, ``cond_estimate``, ``rank``,
        ``x_sketch``, ``linf_bound``, ``history`` and ``timings``; methods for covariance, standard
        errors and intervals.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign or an option is wrong, a number is not finite, or the squares of the
        entries of A or b overflow or vanish; if A has fewer rows than columns and the method is
        neither "auto" nor "direct".
    RuntimeError
        If a Dask array is on a cluster that fails, or is closed.

    Warns
    -----
    RuntimeWarning
        If `eps` and `delta` ask for a sketch with more rows than A: it is then solved directly.

    See Also
    --------
    lstsq_factor : factorize once, solve for many right-hand sides.
    kron_lstsq : a design that is a Kronecker product.

    Notes
    -----
    Every method gives a matrix P with :math:`P^\top A^\top A P \approx I`, and every solution is
    refined by :math:`x \leftarrow x + P P^\top A^\top (b - A x)`, in which one pass over the rows
    of A gives residual and gradient. Cost for n rows and d columns: "gram" n d^2 multiplications
    and three or four passes; "cholqr" 3 n d^2 and five passes; "iterative" about 30 passes;
    "sketch" one pass of n d (12 + m / 4096) additions, and one that measures the residual. Memory:
    O(m d) and blocks of rows; "direct" makes copies of A where it is one array in memory, and a
    triangle of each block where it is not.

    The sketch is a subsampled randomized Hadamard transform. Proved [1]_: with
    :math:`m = O(\varepsilon^{-2} d \log^3(n/\delta))` rows, with probability :math:`1 - \delta`,
    :math:`\|x' - x^*\|_\infty \le \varepsilon d^{-1/2} R \|A^+\|`, a factor :math:`\sqrt d` better
    than a bound of the norm implies; CountSketch does not have the property. The size used here has
    the constants of the limit law, in which coordinates err like independent normal numbers of
    standard deviation at most :math:`R \|A^+\| / \sqrt m`.

    The verdict rests on the backward error alone, estimated from the returned x within a factor of
    about 2 (Waldén, Karlson and Sun 1995), never on a recurrence. Float32 input is computed in
    float64, block by block, where the device has it.

    Runs on NumPy (passes compiled by Numba), CuPy, PyTorch and any other Array API library.

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    A polynomial of degree ten through noise-free points, where the normal equations fail:

    >>> import numpy as np
    >>> import numopt
    >>> t = np.linspace(0, 1, 2000)
    >>> A = np.vander(t, 11)
    >>> result = numopt.lstsq(A, A @ np.ones(11), rng=0)
    >>> result.success, result.method
    (True, 'cholqr')
    >>> bool(abs(result.x - 1).max() < 1e-8)
    True

    Only a sketch, with the bound that holds for every coordinate:

    >>> rng = np.random.default_rng(0)
    >>> A, b = rng.normal(size=(20000, 5)), rng.normal(size=20000)
    >>> rough = numopt.lstsq(A, b, method="sketch", eps=0.2, rng=0)
    >>> bool(abs(rough.x - numopt.lstsq(A, b).x).max() <= rough.linf_bound)
    True
    """
    options = _options(method, sketch, sketch_size, eps, delta, rcond, rng, check_finite)
    callback = validate.optional_callable("callback", callback)
    design, out = _design(A, b, weights, ridge, precision)
    options = _checked_against(options, design)
    columns = right_hand_sides("b", b, design.shape[0], design)
    start = None if x0 is None else right_hand_sides("x0", x0, design.shape[1], design, like=b)
    request = _request(tol, maxiter, options, design, out, b.ndim, callback, precision)
    with closing(callback):
        return solve(design, factorize(design, columns, options), columns, start, request)


class LstsqFactor:
    """A design factorized by `lstsq_factor`, to be solved for right-hand sides.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the design.
    method : str
        How it was factorized.
    rank : int
        Numerical rank.
    cond_estimate : float
        Estimate of the condition number of A with its columns scaled to unit length.

    See Also
    --------
    lstsq_factor : makes it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A = rng.normal(size=(10000, 4))
    >>> factor = numopt.lstsq_factor(A)
    >>> factor.shape, factor.rank
    ((10000, 4), 4)
    >>> result = factor.solve(A @ [1.0, 2.0, 3.0, 4.0])
    >>> result.x.round(12)
    array([1., 2., 3., 4.])
    """

    shape: tuple[int, int]
    method: str
    rank: int
    cond_estimate: float
    _design: Design
    _factor: Factor
    _options: Options
    _dtype: Any
    _precision: str

    @classmethod
    def _of(
        cls, design: Design, factor: Factor, options: Options, dtype: Any, precision: str
    ) -> LstsqFactor:
        made = cls()
        made._design, made._factor, made._options = design, factor, options
        made._dtype, made._precision = dtype, precision
        made.shape, made.method = design.shape, factor.method
        made.rank, made.cond_estimate = factor.preconditioner.rank, factor.preconditioner.cond
        return made

    def solve(
        self,
        b: Array,
        *,
        x0: Array | None = None,
        tol: float | None = None,
        maxiter: int = 100,
        callback: Callback | None = None,
    ) -> LstsqResult:
        """Return the `LstsqResult` for right-hand sides `b` (n,) or (n, k): two or three passes."""
        callback = validate.optional_callable("callback", callback)
        design = self._design
        columns = right_hand_sides("b", b, design.shape[0], design)
        start = None if x0 is None else right_hand_sides("x0", x0, design.shape[1], design, like=b)
        options, out = self._options, self._dtype
        request = _request(tol, maxiter, options, design, out, b.ndim, callback, self._precision)
        with closing(callback):
            return solve(design, self._factor, columns, start, request)


def lstsq_factor(
    A: Any,
    *,
    method: str = "auto",
    rng: Any = None,
    sketch: str = "srht",
    sketch_size: int | None = None,
    weights: Array | None = None,
    ridge: float = 0.0,
    rcond: float | None = None,
    precision: str = "auto",
    check_finite: bool = True,
) -> LstsqFactor:
    r"""Factorize the design of a least squares problem, to solve it for right-hand sides.

    .. math:: \min_x \; \| W^{1/2} (A x - b) \|_2^2 + \lambda \| x \|_2^2
       \quad \text{for one b after the other.}

    Parameters
    ----------
    A : array, sparse matrix, LinearOperator, dask array, sequence of arrays or callable
        The design, as for `lstsq`. It is referenced, not copied, and must not change.
    method : {"auto", "cholqr", "iterative", "gram", "direct"}, default "auto"
        As for `lstsq`; "sketch" needs the right-hand side.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the sketch.
    sketch : {"srht", "sparse_sign", "countsketch", "gaussian"}, default "srht"
        Kind of sketch.
    sketch_size : int, optional
        Rows of the sketch.
    weights : array, shape (n,), optional
        Non-negative weights of the squared residuals.
    ridge : float, default 0.0
        Factor of the penalty ``|x|^2``.
    rcond : float, optional
        Relative size of singular values that count as zero.
    precision : {"auto", "working", "extended"}, default "auto"
        Precision of the residuals.
    check_finite : bool, default True
        Whether nan and infinity in A raise an error.

    Returns
    -------
    LstsqFactor
        With a method ``solve(b)``.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        As for `lstsq`, and for ``method="sketch"``.

    See Also
    --------
    lstsq : everything in one call.

    Notes
    -----
    A further right-hand side costs two or three passes over A ("iterative": about 30).

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A, B = rng.normal(size=(5000, 3)), rng.normal(size=(5000, 2))
    >>> factor = numopt.lstsq_factor(A)
    >>> bool(np.allclose(factor.solve(B).x, np.linalg.lstsq(A, B)[0]))
    True
    """
    if method == "sketch":
        raise ValueError("`method` must not be 'sketch' here: a sketch is made with its `b`.")
    options = _options(method, sketch, sketch_size, None, 0.01, rcond, rng, check_finite)
    design, out = _design(A, None, weights, ridge, precision)
    options = _checked_against(options, design)
    xp = array_namespace(design.like)
    nothing = xp.zeros((design.shape[0], 0), dtype=design.dtype, device=device_of(design.like))
    factor = factorize(design, nothing, options)
    return LstsqFactor._of(design, factor, options, out, precision)


def _options(
    method: Any,
    sketch: Any,
    sketch_size: Any,
    eps: Any,
    delta: Any,
    rcond: Any,
    rng: Any,
    check_finite: bool,
) -> Options:
    """Return the validated options of a factorization."""
    eps = None if eps is None else validate.fraction("eps", eps)
    delta = validate.fraction("delta", delta)
    if sketch_size is not None and eps is not None:
        raise ValueError("`sketch_size` and `eps` exclude one another.")
    return Options(
        method=validate.choice("method", method, METHODS),
        sketch=validate.choice("sketch", sketch, tuple(SKETCHES)),
        sketch_size=None if sketch_size is None else validate.count("sketch_size", sketch_size),
        eps=eps,
        delta=delta,
        rcond=-1.0 if rcond is None else validate.between("rcond", rcond, 0.0, 1.0),
        rng=generator(rng),
        check_finite=bool(check_finite),
    )


def _checked_against(options: Options, design: Design) -> Options:
    """Return the options with the defaults for a design, having checked what depends on it."""
    (n, d), method = design.shape, options.method
    if n < d and method not in ("auto", "direct"):
        raise ValueError(
            f"`A` must have at least as many rows as columns for method {method!r}, got shape "
            f"{(n, d)}; use 'direct' for the solution of minimum norm."
        )
    size = options.sketch_size
    if size is not None and not 2 * d <= size <= n:
        raise ValueError(
            f"`sketch_size` must be between {2 * d} (twice the columns of `A`) and {n} (its rows), "
            f"got {size}; use method 'direct' where that leaves no room."
        )
    if options.rcond > 0:
        return options
    eps = float(array_namespace(design.like).finfo(design.dtype).eps)
    return options._replace(rcond=default_rcond(d, eps))


def _design(
    A: Any, b: Array | None, weights: Array | None, ridge: Any, precision: Any
) -> tuple[Design, Any]:
    """Return the design of validated inputs, and the dtype of the result."""
    ridge = validate.real("ridge", ridge)
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"`ridge` must be non-negative and finite, got {ridge!r}.")
    precision = validate.choice("precision", precision, PRECISIONS)
    blocks = None if _is_operator(A) else RowBlocks("A", A)
    like = _operator_like(A, b, weights) if blocks is None else blocks.like
    cluster = None if blocks is None else blocks.cluster
    arrays = {"A": like, "b": beside_like(cluster, b), "weights": beside_like(cluster, weights)}
    validate.common_namespace(**arrays)
    out = validate.common_float(**arrays)
    n = int(A.shape[0]) if blocks is None else blocks.shape[0]
    if weights is not None:
        weights = checked_weights(weights, n, widest_float(like), cluster)
    if blocks is None:
        if precision == "extended":
            raise ValueError("`precision` 'extended' needs the entries of `A` as dense arrays.")
        return Products(A, like, weights, ridge), out
    wide = widest_float(array_namespace(like).astype(like[:0, :], out))
    blocks.dtype = wide
    return Rows(blocks, weights, ridge, _wants_extended(precision, blocks.shape)), out


def _wants_extended(precision: str, shape: tuple[int, ...]) -> bool:
    small = shape[0] * shape[1] <= EXTENDED_ENTRIES
    return precision == "extended" or (precision == "auto" and small)


def _extended(precision: str, design: Design) -> bool:
    return design.dense and _wants_extended(precision, design.shape)


def _is_operator(A: Any) -> bool:
    """Tell whether A is known by its products: a sparse matrix or a linear operator."""
    return not array_api_compat.is_array_api_obj(A) and (
        hasattr(A, "tocsr") or (hasattr(A, "matvec") and hasattr(A, "rmatvec"))
    )


def _operator_like(A: Any, b: Array | None, weights: Array | None) -> Array:
    """Return an array of the library and dtype of a sparse matrix or linear operator.

    An operator does not tell its library; alone it is taken for one of SciPy's.
    """
    candidates = (getattr(A, "data", None), b, weights)
    array = next((x for x in candidates if array_api_compat.is_array_api_obj(x)), None)
    xp = host if array is None else array_namespace(array)
    dtype = getattr(A, "dtype", None) or (xp.float64 if array is None else array.dtype)
    return xp.zeros((0, A.shape[1]), dtype=dtype)


def _request(
    tol: Any,
    maxiter: Any,
    options: Options,
    design: Design,
    out: Any,
    ndim: int,
    callback: Callback | None,
    precision: str,
) -> Request:
    eps = float(array_namespace(design.like).finfo(out).eps)
    return Request(
        tol=eps if tol is None else validate.positive("tol", tol),
        maxiter=validate.count("maxiter", maxiter),
        delta=options.delta,
        settle=_extended(precision, design),
        dtype=out,
        single=ndim == 1,
        callback=callback,
    )
