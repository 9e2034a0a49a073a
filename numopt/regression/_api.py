"""The public solvers of linear least squares."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array, array_namespace, device_of
from ..sketching import TensorSRHT
from . import _kron
from ._factor import LstsqFactor
from ._inputs import design_of, options_of, request_of, right_hand_sides, start_of, suited
from ._report import kron_report, report
from ._result import KronResult, LstsqResult
from ._solve import factorize, refined


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
    A : array_like, sparse matrix, LinearOperator, dask array, sequence of arrays or callable
        The design, n rows and d columns. Real; integers become the default float of the library. An
        array in memory is used in place if it is in C order, otherwise block by block, and never
        copied as a whole. What does not fit memory: a memory map; a Dask array, worked on where
        its chunks are; a sequence of arrays with the same number of columns, or a callable that
        returns an iterator over such blocks anew each time; or whatever else `row_blocks` takes.
        SciPy's sparse matrices and linear operators are touched by products only.
    b : array_like, shape (n,) or (n, k)
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
    x0 : array of shape (d,) or (d, k), or LstsqResult, optional
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
        ``x``, ``fun``, ``success``, ``status``, ``message``, ``checks``, ``backward_error``,
        ``forward_error``, ``residual_norm``, ``grad_norm``, ``method``, ``rank``,
        ``cond_estimate``, ``linf_bound``, ``nit``, ``n_passes``, ``tol``, ``execution_time``,
        ``history`` and ``stats``; methods for covariance, standard errors and intervals.

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
    started = time.perf_counter()
    options = options_of(
        method,
        sketch=sketch,
        sketch_size=sketch_size,
        rcond=rcond,
        rng=rng,
        check_finite=check_finite,
        eps=eps,
        delta=delta,
    )
    design, dtype = design_of(A, b, weights=weights, ridge=ridge, precision=precision)
    options = suited(options, design)
    columns, single = right_hand_sides(b, design)
    start = start_of(x0, design, columns, single)
    asked = request_of(design, dtype, precision, tol, maxiter, callback)
    with closing(asked.callback):
        factor, factorized = factorize(design, columns, options), time.perf_counter()
        found = refined(design, factor, columns, start, asked)
    return report(design, factor, options, found, asked, single, started, factorized)


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
    options = options_of(
        method,
        sketch=sketch,
        sketch_size=sketch_size,
        rcond=rcond,
        rng=rng,
        check_finite=check_finite,
    )
    design, dtype = design_of(A, weights=weights, ridge=ridge, precision=precision)
    options = suited(options, design)
    xp = array_namespace(design.like)
    nothing = xp.zeros((design.shape[0], 0), dtype=design.dtype, device=device_of(design.like))
    return LstsqFactor._of(design, factorize(design, nothing, options), options, dtype, precision)


def kron_lstsq(
    factors: Sequence[Array],
    b: Array,
    *,
    method: str = "exact",
    tol: float | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    sketch_size: int | None = None,
    rcond: float | None = None,
    rng: Any = None,
) -> KronResult:
    r"""Solve a least squares problem whose design is a Kronecker product.

    .. math:: \min_x \; \| (A_1 \otimes \dots \otimes A_q) x - b \|_2.

    Parameters
    ----------
    factors : sequence of array, each of shape (n_j, d_j)
        The factors A_j, real, of one library.
    b : array, shape (n_1, ..., n_q) or (n_1 * ... * n_q,)
        Right-hand side, as a tensor or flattened in C order.
    method : {"exact", "sketch"}, default "exact"
        "exact" applies the pseudo-inverse of every factor; "sketch" solves the problem sketched by
        a `numopt.sketching.TensorSRHT`, which reads b once.
    tol : float, optional
        Largest backward error, relative to the Frobenius norm of the product. Default: 16 times the
        machine epsilon for each factor.
    eps : float, optional
        For "sketch": with probability ``1 - delta`` every coordinate errs by at most
        ``eps / sqrt(d) R |A^+|``, with ``d = d_1 ... d_q``. In (0, 1), default 0.5.
    delta : float, default 0.01
        Probability, in (0, 1), with which that bound may fail.
    sketch_size : int, optional
        Rows of the sketch, instead of `eps`; at least 2 d.
    rcond : float, optional
        Singular values of a factor at most `rcond` times its largest count as zero. Default
        ``max(30, d_j)`` times the machine epsilon.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the sketch.

    Returns
    -------
    KronResult
        ``x`` of shape (d_1, ..., d_q), of minimum norm where a factor is rank-deficient, with the
        fields of `LstsqResult` that apply.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape or an option is wrong, or a number is not finite.

    See Also
    --------
    lstsq : a design that is one matrix.

    Notes
    -----
    The pseudo-inverse of a Kronecker product is that of the factors. "exact" takes a singular value
    decomposition of the triangular factor of each, n_j d_j^2, and passes over b of
    ``sum_j n_1 ... n_q d_j`` operations. The product is never formed by either method.

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A1, A2 = rng.normal(size=(30, 2)), rng.normal(size=(40, 3))
    >>> b = rng.normal(size=(30, 40))
    >>> result = numopt.kron_lstsq([A1, A2], b)
    >>> expected = np.linalg.lstsq(np.kron(A1, A2), b.ravel())[0]
    >>> bool(np.allclose(result.x.ravel(), expected))
    True
    """
    started = time.perf_counter()
    method = validate.choice("method", method, _kron.METHODS)
    eps = None if eps is None else validate.fraction("eps", eps)
    delta = validate.fraction("delta", delta)
    problem = _kron.problem_of(factors, b, rcond)
    machine = float(array_namespace(problem.b).finfo(problem.dtype).eps)
    tol = 16 * machine * len(problem.factors) if tol is None else validate.positive("tol", tol)
    if method == "exact":
        x, size = _kron.solved_exactly(problem, problem.b), 0
    else:
        size = _kron.size_of(problem, eps, delta, sketch_size)
        x = _kron.solved_by_sketch(problem, TensorSRHT(size, problem.b.shape, rng=rng))
    x = array_namespace(x).astype(x, problem.dtype)
    stats = {
        "sketch_size": size,
        "eps": eps if sketch_size is not None or eps is not None else 0.5,
        "delta": delta,
    }
    return kron_report(problem, x, tol=tol, stats=stats, started=started)
