"""The public solver of entropic transport."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array, array_namespace, device_of
from ._batch import TransportBatch
from ._costs import PointCloudCost, bounds
from ._result import TransportResult
from ._semidual import NewtonOptions
from ._solve import METHODS, Instance, Settings, solve

# Totals of the two masses may differ by this much relative to each other, for rounding.
_TOTALS_RTOL = {"float64": 1e-6, "float32": 1e-4}

Start = TransportResult | tuple[Array, Array] | Array | None


def entropic_transport(
    cost: Array | PointCloudCost,
    a: Array | None = None,
    b: Array | None = None,
    *,
    reg: float,
    method: str = "sns",
    tol: float | None = None,
    maxiter: int = 1000,
    x0: Start = None,
    scaling: float = 2.0,
    newton_options: dict[str, float] | None = None,
    density: float | None = None,
    callback: Callback | None = None,
) -> TransportResult | TransportBatch:
    r"""Solve entropic optimal transport between two masses.

    .. math::

        \min_{P \ge 0} \; \langle C, P \rangle
        + \varepsilon \, \mathrm{KL}(P \,|\, a b^\top)
        \quad \text{subject to} \quad P 1 = a, \; P^\top 1 = b,

    with :math:`\mathrm{KL}(P|Q) = \sum P \log(P/Q) - P + Q`. The plan is
    :math:`P_{ij} = a_i b_j \exp((f_i + g_j - C_{ij}) / \varepsilon)` for the dual potentials f
    and g, which are what is computed.

    Parameters
    ----------
    cost : array, shape (n, m) or (B, n, m), or PointCloudCost
        Real and finite cost C. A 3-D array is a batch of B problems. Integers become the default
        float of the library; the common dtype of `cost`, `a` and `b` is that of the result.
    a : array, shape (n,) or (B, n), optional
        Non-negative masses of the rows, some may be zero. Default ``1 / n`` each.
    b : array, shape (m,) or (B, m), optional
        Non-negative masses of the columns. Default ``1 / m`` each. Both totals must agree to
        1e-6 (float32: 1e-4) and `b` is rescaled to that of `a`; they need not be 1.
    reg : float
        Regularization :math:`\varepsilon > 0`, in the unit of the cost. As a share of
        ``max(cost)``: 0.1 blurs the plan, 1e-3 is sharp, 1e-4 is close to unregularized.
    method : {"sns", "sinkhorn", "sns-paper"}, default "sns"
        The improved Sinkhorn-Newton-Sparse method; Sinkhorn sweeps alone in the log domain, at
        the target regularization; or Sinkhorn-Newton-Sparse as published, which may stall.
    tol : float, optional
        Largest l1 distance of the marginals of the plan from the masses, rows and columns
        together, relative to the total mass. Default 1e-8 or, where that is larger,
        the precision floor ``4 eps (max(cost) - min(cost)) / reg`` of the dtype, but at most
        1e-2.
    maxiter : int, default 1000
        Largest number of sweeps and Newton steps together.
    x0 : TransportResult, tuple (f, g), or array g, optional
        Warm start. Used at `reg` at once if its marginal error there is below 0.1, otherwise to
        start the path. Only g, shape (m,) or (B, m), matters: f follows from it.
    scaling : float, default 2.0
        First ratio between consecutive regularizations of the path, which then adapts.
    newton_options : dict, optional
        Fields of the Newton step to change: ``mass_fraction``, ``mass_floor``, ``mass_cap``
        (mass that sparsification may drop from a row or column), ``damping``, ``cg_rtol``,
        ``cg_maxiter``, ``clip``, ``density_limit`` and ``nnz_limit``.
    density : float, optional
        Share of the entries that ``method="sns-paper"`` keeps. Default ``2 / min(n, m)``. Other
        methods choose by mass and do not accept it.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``reg``, ``marginal_error`` and
        ``nnz``; `StopIteration` ends the solve. See `ProgressBar`.

    Returns
    -------
    TransportResult
        Potentials ``f`` and ``g``, ``fun``, ``dual_fun``, ``gap``, ``cost``, the marginal
        errors, ``success``, ``status``, ``message``, counters, ``reg_path``, ``history``, and
        methods for the plan and its derivatives. A batch gives a `TransportBatch`, whose fields
        have a leading axis B.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a total or an option is wrong, a number is not finite, or `reg` is
        below ``4 eps (max(cost) - min(cost))``.

    Warns
    -----
    RuntimeWarning
        If `tol` is below the precision floor of the dtype.

    See Also
    --------
    PointCloudCost : a cost that is never stored.
    sinkhorn_divergence : a distance between point clouds built on this solver.

    Notes
    -----
    With g fixed, f is explicit, which leaves a concave function of g alone. The method follows
    its maximizer along decreasing regularizations. At each it does a few Sinkhorn sweeps, then
    Newton steps, whose matrix is cut to the entries of the plan that carry all but a small share
    of the mass of their row or column, and solved by preconditioned conjugate gradients. Steps
    that do not raise the objective are clipped and, in the end, replaced by sweeps, which always
    do.

    Every pass over the cost takes one exponential per entry, O(nm) time, and no n-by-m
    temporary; the sparse matrix takes O(nnz) memory, at most 100 MB. The smaller of n and m
    should be that of the columns; otherwise the cost is transposed once. Where the plan is not
    sparse (large `reg`), it is stored if it has at most four million entries, otherwise never.

    Proved [1]_: with a unique optimal plan P0 of the unregularized problem between uniform masses
    1/n, and D the gap between the best and the second-best vertex, the regularized plan is within
    :math:`6 n^2 e^{-D / \varepsilon}` of P0 in l1 norm once
    :math:`D / \varepsilon > 1 + 2 \log n`. That Newton steps converge fast is observed, not
    proved. The certificate is independent of both: marginal errors are measured on the returned
    potentials, and with ``gap`` they bound the distance from the optimum.

    Runs on NumPy (compiled by Numba from 4096 entries on), CuPy, PyTorch and any other Array API
    library with float64 or float32.

    References
    ----------
    .. [1] X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. K. Thekumparampil, T. Xiao,
       L. Ying, "Accelerating Sinkhorn Algorithm with Sparse Newton Iterations", ICLR 2024,
       arXiv:2401.12253.

    Examples
    --------
    Move a sample to another one, at a regularization of a thousandth of the largest cost:

    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 1)), 3 + rng.normal(size=(400, 1))
    >>> cost = (x - y.T) ** 2
    >>> result = numopt.entropic_transport(cost, reg=1e-3 * cost.max())
    >>> result.success
    True
    >>> bool(abs(result.plan().sum(axis=1) - 1 / 300).sum() < 1e-8)
    True
    """
    settings = settings_of(
        reg=reg,
        method=method,
        tol=tol,
        maxiter=maxiter,
        scaling=scaling,
        newton_options=newton_options,
        density=density,
        callback=callback,
    )
    matrix, a, b, points = validated(cost, a, b)
    start = _start(x0, a, b)
    with closing(callback):
        if a.ndim == 1:
            return solve(instance_of(matrix, a, b, points), settings, start)
        instances = [instance_of(matrix[k, ...], a[k, :], b[k, :], None) for k in range(a.shape[0])]
        starts = [None if start is None else start[k, :] for k in range(a.shape[0])]
        pairs = zip(instances, starts, strict=True)
        return TransportBatch.of([solve(instance, settings, g) for instance, g in pairs])


def settings_of(
    *,
    reg: Any,
    tol: Any,
    maxiter: Any,
    callback: Any,
    method: Any = "sns",
    scaling: Any = 2.0,
    newton_options: Any = None,
    density: Any = None,
) -> Settings:
    """Return the options of a solve, validated."""
    method = validate.choice("method", method, METHODS)
    if density is not None:
        if method != "sns-paper":
            raise ValueError("`density` is an option of method 'sns-paper' only.")
        density = validate.between("density", density, 0.0, 1.0)
    return Settings(
        reg=validate.positive("reg", reg),
        method=method,
        tol=None if tol is None else validate.positive("tol", tol),
        maxiter=validate.count("maxiter", maxiter),
        scaling=validate.greater_than("scaling", scaling, 1.0),
        newton=_newton_options(newton_options),
        density=density,
        callback=validate.optional_callable("callback", callback),
    )


def _newton_options(given: Any) -> NewtonOptions:
    if given is None:
        return NewtonOptions()
    if not isinstance(given, dict):
        raise TypeError(f"`newton_options` must be a dict, got {type(given).__name__}.")
    values: dict[str, Any] = {}
    for name, value in given.items():
        label = f"newton_options[{name!r}]"
        if name not in NewtonOptions._fields:
            known = ", ".join(NewtonOptions._fields)
            raise ValueError(f"`{label}` is not an option; the options are {known}.")
        check = validate.count if name == "cg_maxiter" else validate.positive
        values[name] = check(label, value)
    return NewtonOptions(**values)


def validated(cost: Any, a: Any, b: Any) -> tuple[Any, Array, Array, PointCloudCost | None]:
    """Return the cost that kernels take, both masses, and the point clouds if there are any."""
    points = cost if isinstance(cost, PointCloudCost) else None
    reference = cost if points is None else points.X
    xp = validate.common_namespace(cost=reference, a=a, b=b)
    dtype = validate.common_float(cost=reference, a=a, b=b)
    if points is None:
        cost = validate.finite("cost", validate.as_array("cost", cost, ndim=(2, 3), dtype=dtype))
        shape = tuple(cost.shape)
    else:
        X, Y = xp.astype(points.X, dtype, copy=False), xp.astype(points.Y, dtype, copy=False)
        points = PointCloudCost(X, Y, points.metric, points.scale)
        cost, shape = points.kernel_cost(), points.shape
    a = _masses("a", a, (*shape[:-2], shape[-2]), reference, dtype)
    b = _masses("b", b, (*shape[:-2], shape[-1]), reference, dtype)
    return cost, a, _same_totals(a, b), points


def _masses(name: str, x: Any, shape: tuple[int, ...], reference: Array, dtype: Any) -> Array:
    """Return one side's masses, uniform by default and repeated over a batch if given once."""
    xp = array_namespace(reference)
    if x is None:
        return xp.full(shape, 1 / shape[-1], dtype=dtype, device=device_of(reference))
    x = validate.as_array(name, x, ndim=(1, 2) if len(shape) == 2 else 1, dtype=dtype)
    if x.ndim < len(shape):
        validate.same_shape(name, x, shape[-1:], "cost")
        x = validate.contiguous(xp.broadcast_to(x, shape))
    validate.non_negative(name, validate.same_shape(name, x, shape, "cost"))
    if not bool(xp.all(xp.any(x > 0, axis=-1))):
        raise ValueError(f"`{name}` must not be zero everywhere.")
    _representable(name, x)
    return x


def _representable(name: str, x: Array) -> None:
    """Check that masses and products of masses keep their digits."""
    xp = array_namespace(x)
    info = xp.finfo(x.dtype)
    smallest, largest = 4 * float(info.smallest_normal), float(info.max) ** (1 / 3)
    if bool(xp.any((x > 0) & (x < smallest))):
        raise ValueError(f"`{name}` must hold zeros or numbers above {smallest:.1e}.")
    total = float(xp.max(xp.sum(x, axis=-1)))
    if not 1 / largest <= total <= largest:
        raise ValueError(
            f"`{name}` must have a total between {1 / largest:.0e} and {largest:.0e}, "
            f"got {total:.1e}."
        )


def _same_totals(a: Array, b: Array) -> Array:
    """Return `b` rescaled to the totals of `a`, having checked that they agree to rounding."""
    xp = array_namespace(a, b)
    totals_a = xp.sum(a, axis=-1, keepdims=True)
    totals_b = xp.sum(b, axis=-1, keepdims=True)
    rtol = _TOTALS_RTOL["float32" if a.dtype == xp.float32 else "float64"]
    off = xp.abs(totals_a - totals_b) > rtol * totals_a
    if bool(xp.any(off)):
        worst = xp.argmax(xp.reshape(xp.abs(totals_a - totals_b), (-1,)))
        total_a, total_b = (float(xp.reshape(t, (-1,))[worst]) for t in (totals_a, totals_b))
        raise ValueError(f"`a` and `b` must have equal totals, got {total_a:g} and {total_b:g}.")
    return b * (totals_a / totals_b)


def _start(x0: Any, a: Array, b: Array) -> Array | None:
    """Return the column potential of a warm start, validated."""
    if x0 is None:
        return None
    if isinstance(x0, TransportResult | TransportBatch):
        x0 = x0.f, x0.g
    if isinstance(x0, tuple):
        if len(x0) != 2:
            raise ValueError(f"`x0` must be a pair (f, g), got {len(x0)} items.")
        _potential(x0[0], "a", a)
        x0 = x0[1]
    return _potential(x0, "b", b)


def _potential(x0: Any, side: str, masses: Array) -> Array:
    """Return one side's potential of a warm start, validated."""
    validate.common_namespace(**{side: masses, "x0": x0})
    validate.common_float(x0=x0)
    x0 = validate.same_shape("x0", x0, tuple(masses.shape), side)
    return validate.finite("x0", array_namespace(x0).astype(x0, masses.dtype, copy=False))


def instance_of(matrix: Any, a: Array, b: Array, points: PointCloudCost | None) -> Instance:
    """Return a validated problem with the range of its cost."""
    low, high = bounds(matrix)
    return Instance(matrix, a, b, low, high, points)
