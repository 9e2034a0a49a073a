"""The public solvers of convex ReLU training."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._rows import Limits, in_blocks
from ._by_rows import refuse_options, trained_by_rows
from ._inputs import (
    check_sums,
    chosen_patterns,
    data_of,
    effective,
    perturbation,
    settings_of,
)
from ._report import Task, pull_of_zero, start_of, trained
from ._result import ConvexReLUResult
from ._verdict import Settings, Start


def convex_relu(
    X: Array,
    y: Array,
    *,
    beta: float,
    loss: str = "squared",
    n_patterns: int = 64,
    patterns: Array | None = None,
    eps: float | Array = 0.0,
    robust: str = "pattern",
    fit_intercept: bool = True,
    sample_weight: Array | None = None,
    method: str = "auto",
    refine: int = 0,
    x0: ConvexReLUResult | None = None,
    rho: float | None = None,
    tol: float = 1e-3,
    maxiter: int = 5000,
    stop: str = "gap",
    polish: bool = True,
    rng: Any = None,
    callback: Callback | None = None,
) -> ConvexReLUResult:
    r"""Train a two-layer ReLU network by a convex program, with a certificate.

    .. math::

        \min_{v_i, w_i} \; \sum_k \ell\Big( \sum_i d_{ik} \, x_k^\top (v_i - w_i), \, y_k \Big)
        + \beta \sum_i |v_i|_2 + |w_i|_2
        \quad \text{subject to} \quad
        (2 d_{ik} - 1) \, x_k^\top v_i \ge 0, \;\; (2 d_{ik} - 1) \, x_k^\top w_i \ge 0,

    where :math:`d_i \in \{0, 1\}^n` is an activation pattern: the samples on which a hidden unit
    is on. Neurons in the cones of their patterns are the units of a network with hidden weights
    :math:`u` and output weights :math:`a`, whose training problem
    :math:`\min \ell(\sum_j (X u_j)_+ a_j, y) + \frac{\beta}{2} \sum_j |u_j|^2 + a_j^2` has the
    same value.

    Parameters
    ----------
    X : array, shape (n, d)
        Samples, real and finite. Integers become the default float of the library. Features of
        very different size should be standardized first. Or a Dask array, a memory map or any
        other source that `row_blocks` reads, if there are several passes in it.
    y : array, shape (n,) or (n, C)
        Targets, or labels -1 and 1 for logistic and hinge loss. Columns are independent problems
        that share the patterns; for samples in blocks there is one. A Dask array beside one.
    beta : float
        Weight decay, positive. The loss is a sum over samples, so it grows with their number.
    loss : {"squared", "logistic", "hinge"}, default "squared"
        ``(z - y)^2 / 2``, ``log(1 + exp(-y z))`` or ``max(0, 1 - y z)``, summed over samples.
    n_patterns : int, default 64
        Patterns to draw, as those of random gates: the samples on one side of a random
        hyperplane. Duplicates and the empty pattern are dropped. See `n_patterns_for`.
    patterns : array, optional
        Patterns to use instead: gates of shape (d, P), counting the bias, or booleans of shape
        (n, P). Boolean patterns whose cone has no interior are dropped.
    eps : float or array of shape (d,), default 0.0
        Radius of the perturbations of each feature that the network should withstand, in the unit
        of `X`.
    robust : {"pattern", "lipschitz"}, default "pattern"
        How perturbations enter: constraints that keep every pattern under perturbation, which
        rule out patterns with samples close to their hyperplanes; or a bound by the l1 norms of
        the neurons, which is weaker and never rules anything out.
    fit_intercept : bool, default True
        Whether hidden units have a bias, which is regularized like a weight.
    sample_weight : array, shape (n,), optional
        Non-negative weights of the loss of each sample.
    method : {"auto", "interior", "rows", "cholesky", "sylvester", "rbcd"}, default "auto"
        An interior-point method; a sequence of small programs made of sums over the samples; ADMM
        with a cached factor; a splitting whose linear systems are Sylvester equations; ADMM with
        random block descent, as published, for smooth losses. "auto" takes the second for samples
        that are many times the entries of a neuron of each pattern, else the first while a step
        of it is affordable.
    refine : int, default 0
        Rounds of enrichment: patterns of the network itself and of neurons that would help are
        added, the problem is solved again.
    x0 : ConvexReLUResult, optional
        Warm start: an earlier result for the same samples, with any `beta`. Its patterns are used
        unless `patterns` are given.
    rho : float, optional
        Penalty of a splitting method, in normalized units; default `beta` there, then adapted.
    tol : float, default 0.001
        Largest certified relative gap between `fun` and the optimum of the program.
    maxiter : int, default 5000
        Largest number of iterations for each output and round.
    stop : {"gap", "network"}, default "gap"
        When to stop: at the certified gap, or once the objective of the network of a splitting
        method has not improved by `tol` for five checks, which takes far fewer iterations.
    polish : bool, default True
        Whether the neurons returned are moved into their cones, where they prove an upper bound.
        Otherwise they are the iterate of a splitting method, and `gap` is an estimate.
    rng : int or numpy.random.Generator, optional
        Source of the random gates.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with the record of each check; `StopIteration`
        ends the solve.

    Returns
    -------
    ConvexReLUResult
        The network ``W1``, ``w2``, the neurons ``coef_pos``, ``coef_neg``, the bounds ``fun`` and
        ``dual``, their ``gap``, ``success``, ``status``, ``message``, counters and ``history``.

    Raises
    ------
    TypeError
        If an input is not a real dense array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a label or an option is wrong, or a number is not finite. ``beta = 0``
        has no certificate: use a small `beta`.

    See Also
    --------
    convex_relu_path : a path of decreasing weight decays.
    convex_relu_beta_max : from where on the zero network is the solution.
    convex_relu_scp : random hidden units instead of random patterns.
    ConvexReLUClassifier : an estimator in the style of scikit-learn.

    Notes
    -----
    With all patterns, of which there are at most ``2 r (e (n - 1) / r)^r`` for X of rank r, the
    program has the value of the training problem with enough hidden units [2]_. With a sample of
    them it is a restriction: `fun` is the objective of an actual network, and `gap` says how far it
    is from the best one *under these patterns*. What more patterns would bring is another
    question; `refine` and `violation` look into it.

    The interior-point method solves Newton systems of all 2 n P constraints by d by d blocks,
    one for each neuron, and one n by n matrix: an iteration takes O(n P d^2 + n^2 P d) time, or
    O(n P d^2 + n (P d)^2) where that is less, and O(n P d) memory; 25 to 45 iterations reach
    relative gaps of 1e-3 to 1e-8. The ADMM [1]_ takes O(n d P + n^2) an iteration after one
    factorization, the Sylvester splitting O(n d P + d P (d + P)) with nothing of size n by n,
    and both need thousands of iterations.

    Both bounds are rigorous whatever the method. For the lower one any multipliers are scaled
    until they are feasible for the dual problem. For the upper one neurons are projected onto
    their cones and, by a rounding error's worth, moved inside.

    Runs on NumPy, CuPy, PyTorch and any other Array API library with float64 or float32; the
    certificate is computed in float64 where the device has it.

    Method "rows" goes through the samples 6 to 30 times, each time for a sum: the second
    derivative (P d, P d) of the loss, and the few rows of each cone that bound it next to its
    gate. A problem of these alone is solved in one place, and the next pass looks for what it
    left out. A step takes O(n (P d)^2) time, with squared loss only the first, then O(n P d).

    For samples in blocks or on a cluster it is the only one: `eps`, `refine`, `x0`, `rho`,
    ``stop="network"``, ``polish=False``, boolean `patterns` and other methods raise ValueError
    there. Neurons come in float64.

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks: Quadratic-time Algorithms and Adversarial Training", SIAM J. Math. Data Sci.
       2023, arXiv:2201.01965.
    .. [2] M. Pilanci, T. Ergen, "Neural Networks are Convex Regularizers: Exact Polynomial-time
       Convex Optimization Formulations for Two-layer Networks", ICML 2020, arXiv:2002.10553.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 2))
    >>> y = np.sign(X[:, 0] * X[:, 1])  # not separable by a line
    >>> result = numopt.convex_relu(X, y, beta=0.1, loss="hinge", rng=0)
    >>> result.success, bool(result.gap <= 1e-3)
    (True, True)
    >>> bool((np.sign(result.predict(X)) == y).mean() > 0.95)
    True
    """
    settings = settings_of(
        method=method,
        tol=tol,
        maxiter=maxiter,
        stop=stop,
        polish=polish,
        rho=rho,
        callback=callback,
        rng=rng,
    )
    if in_blocks(X):
        refuse_options(
            eps=eps, method=method, refine=refine, x0=x0, rho=rho, stop=stop, polish=polish
        )
        with closing(callback):
            return trained_by_rows(
                X,
                y,
                beta=beta,
                loss=loss,
                n_patterns=n_patterns,
                patterns=patterns,
                fit_intercept=fit_intercept,
                sample_weight=sample_weight,
                settings=settings,
            )
    task = _task(
        X,
        y,
        beta,
        loss,
        n_patterns,
        patterns,
        eps,
        robust,
        fit_intercept,
        sample_weight,
        x0,
        settings,
    )
    with closing(callback):
        return trained(task, settings, validate.count("refine", refine), start_of(x0, task))


def convex_relu_path(
    X: Array,
    y: Array,
    betas: Any,
    *,
    loss: str = "squared",
    n_patterns: int = 64,
    patterns: Array | None = None,
    fit_intercept: bool = True,
    sample_weight: Array | None = None,
    method: str = "auto",
    tol: float = 1e-3,
    maxiter: int = 5000,
    rng: Any = None,
    callback: Callback | None = None,
) -> list[ConvexReLUResult]:
    r"""Train networks for several weight decays under the same patterns.

    .. math::

        \min_{v, w} \; \ell(v, w) + \beta_t \, R(v, w), \qquad t = 1, 2, \dots

    for each given value, with loss, regularizer and constraints of `convex_relu`.

    Parameters
    ----------
    X : array, shape (n, d)
        Samples.
    y : array, shape (n,) or (n, C)
        Targets, or labels -1 and 1.
    betas : sequence of float
        Weight decays, positive. Solved from the largest to the smallest, returned in the order
        given.
    loss : {"squared", "logistic", "hinge"}, default "squared"
        As in `convex_relu`.
    n_patterns : int, default 64
        Patterns to draw, once for the whole path.
    patterns : array, optional
        Patterns to use instead.
    fit_intercept : bool, default True
        Whether hidden units have a bias.
    sample_weight : array, shape (n,), optional
        Non-negative weights of the loss of each sample.
    method : {"auto", "interior", "rows", "cholesky", "sylvester", "rbcd"}, default "auto"
        As in `convex_relu`. Splitting methods start from the solution before; the other two start
        afresh, and only take the bound of that solution along.
    tol : float, default 0.001
        Largest certified relative gap of each result.
    maxiter : int, default 5000
        Largest number of iterations for each value.
    rng : int or numpy.random.Generator, optional
        Source of the random gates.
    callback : callable, optional
        Called with the record of each check; `StopIteration` ends the solve for one value.

    Returns
    -------
    list of ConvexReLUResult
        A result for each value of `betas`.

    Raises
    ------
    TypeError
        If an input is not a real dense array or `betas` not a sequence of numbers.
    ValueError
        If a shape, a sign, a label or an option is wrong, or `betas` is empty.

    See Also
    --------
    convex_relu : the solver for one value, which documents the options.
    convex_relu_beta_max : where such a path should start.

    Notes
    -----
    The optimum never falls as `beta` grows, and the sum of the norms of the neurons never rises.

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks", SIAM J. Math. Data Sci. 2023, arXiv:2201.01965.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> path = numopt.convex_relu_path(x, abs(x[:, 0]), [1.0, 0.1, 0.01], n_patterns=10, rng=0)
    >>> [result.success for result in path]
    [True, True, True]
    >>> path[0].fun > path[1].fun > path[2].fun
    True
    """
    values = _betas(betas)
    settings = settings_of(
        method=method,
        tol=tol,
        maxiter=maxiter,
        stop="gap",
        polish=True,
        rho=None,
        callback=callback,
        rng=rng,
    )
    task = _task(
        X,
        y,
        values[0],
        loss,
        n_patterns,
        patterns,
        0.0,
        "pattern",
        fit_intercept,
        sample_weight,
        None,
        settings,
    )
    results: dict[int, ConvexReLUResult] = {}
    start: Start = None
    with closing(callback):
        for index in sorted(range(len(values)), key=lambda k: -values[k]):
            current = task._replace(beta=values[index])
            results[index] = trained(current, settings, 0, start)
            start = start_of(results[index], current)
    return [results[index] for index in range(len(values))]


def convex_relu_beta_max(
    X: Array,
    y: Array,
    *,
    loss: str = "squared",
    n_patterns: int = 64,
    patterns: Array | None = None,
    fit_intercept: bool = True,
    sample_weight: Array | None = None,
    rng: Any = None,
) -> float:
    r"""Return the smallest weight decay for which the zero network is the solution.

    .. math::

        \beta_{\max} = \max_i \; \min_{\mu \ge 0} \; |\pm X^\top D_i g + X^\top E_i \mu|_2,
        \qquad g = \ell'(0),

    where the inner minimum is the norm of the projection of the slope onto the cone of pattern i.

    Parameters
    ----------
    X : array, shape (n, d)
        Samples.
    y : array, shape (n,) or (n, C)
        Targets, or labels -1 and 1.
    loss : {"squared", "logistic", "hinge"}, default "squared"
        As in `convex_relu`.
    n_patterns : int, default 64
        Patterns to draw.
    patterns : array, optional
        Patterns to use instead.
    fit_intercept : bool, default True
        Whether hidden units have a bias.
    sample_weight : array, shape (n,), optional
        Non-negative weights of the loss of each sample.
    rng : int or numpy.random.Generator, optional
        Source of the random gates; the same seed gives `convex_relu` the same patterns.

    Returns
    -------
    float
        The weight decay, zero if the zero network is optimal for all.

    Raises
    ------
    TypeError
        If an input is not a real dense array.
    ValueError
        If a shape, a label or an option is wrong.

    See Also
    --------
    convex_relu_path : solves for several values below.

    Notes
    -----
    One projection for each neuron, O(n P d^2) time for each of about twenty steps.

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks", SIAM J. Math. Data Sci. 2023, arXiv:2201.01965.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> beta_max = numopt.convex_relu_beta_max(x, x[:, 0], rng=0)
    >>> result = numopt.convex_relu(x, x[:, 0], beta=1.001 * beta_max, rng=0)
    >>> result.success, result.W1.shape[1]
    (True, 0)
    """
    settings = settings_of(
        method="auto",
        tol=1e-3,
        maxiter=0,
        stop="gap",
        polish=True,
        rho=None,
        callback=None,
        rng=rng,
    )
    task = _task(
        X,
        y,
        1.0,
        loss,
        n_patterns,
        patterns,
        0.0,
        "pattern",
        fit_intercept,
        sample_weight,
        None,
        settings,
    )
    return pull_of_zero(task)


def _task(
    X: Any,
    y: Any,
    beta: Any,
    loss: Any,
    n_patterns: Any,
    patterns: Any,
    eps: Any,
    robust: Any,
    fit_intercept: Any,
    sample_weight: Any,
    x0: Any,
    settings: Settings,
) -> Task:
    """Return what is to be solved, validated."""
    beta = validate.positive("beta", beta)
    data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, sample_weight=sample_weight)
    if x0 is not None and not isinstance(x0, ConvexReLUResult):
        raise TypeError(f"`x0` must be a ConvexReLUResult, got {type(x0).__name__}.")
    if x0 is not None and tuple(x0.coef_pos.shape[:1]) != (data.X.shape[1],):
        raise ValueError("`x0` must be a result for samples with as many features as `X`.")
    if x0 is not None and patterns is None:
        patterns = x0.gates
    if settings.method == "rbcd" and not data.loss.smooth:
        raise ValueError("`method` = 'rbcd' is for smooth losses, not for 'hinge'.")
    radius, robust = perturbation(eps, robust, data)
    if radius is not None and settings.method not in ("auto", "sylvester"):
        raise ValueError(
            f"`eps` > 0 needs `method` 'sylvester' or 'auto', got {settings.method!r}."
        )
    used = effective(data)
    found = chosen_patterns(data.X.shape[0], used, n_patterns, patterns, settings.rng)
    if settings.method == "rows":
        check_sums(found.gates.shape[0], data.X.shape[1], Limits().max_bytes, "take another method")
    return Task(data, used, found, beta, radius, robust)


def _betas(betas: Any) -> list[float]:
    """Return validated weight decays."""
    try:
        values = [float(value) for value in betas]
    except TypeError:
        raise TypeError(f"`betas` must be a sequence of numbers, got {betas!r}.") from None
    if not values:
        raise ValueError("`betas` must not be empty.")
    return [validate.positive("betas", value) for value in values]
