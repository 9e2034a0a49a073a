"""The public functions of convex ReLU training."""

from __future__ import annotations

import math
from typing import Any

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._core.random import generator
from ._inputs import attack_of, betas_of, in_memory, problem_of, settings_of
from ._network import attacked
from ._result import ConvexReLUResult
from ._train import start_of, train, train_path


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
    weights: Array | None = None,
    method: str = "auto",
    refine: int = 0,
    x0: ConvexReLUResult | None = None,
    rho: float | None = None,
    tol: float = 1e-3,
    maxiter: int = 5000,
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
        very different size should be standardized first. Or a Dask array or any other source that
        `row_blocks` reads, if there are several passes in it; a memory map is an array, unless
        ``row_blocks(X)`` goes through it.
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
    weights : array, shape (n,), optional
        Non-negative weights of the loss of each sample.
    method : {"auto", "interior", "rows", "cholesky", "sylvester", "rbcd"}, default "auto"
        An interior-point method; a sequence of small programs made of sums over the samples; ADMM
        with a cached factor; a splitting whose linear systems are Sylvester equations; ADMM with
        random block descent, as published, for smooth losses. "auto" takes the second for tall
        data, and goes on with the first where rounding stops it; else the first while a step of
        it is affordable.
    refine : int, default 0
        Rounds of column generation: patterns of the network itself and of neurons that would
        help are added, the problem is solved again.
    x0 : ConvexReLUResult, optional
        Warm start: an earlier result for the same samples, with any `beta`. Its patterns are used
        unless `patterns` are given.
    rho : float, optional
        Penalty of a splitting method, in normalized units; default `beta` there, then adapted.
    tol : float, default 0.001
        Largest certified relative gap between `fun` and the optimum of the program.
    maxiter : int, default 5000
        Largest number of iterations for each output and round.
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
        ``dual_fun``, their ``gap``, ``success``, ``status``, ``message``, ``history``, ``stats``.

    Raises
    ------
    TypeError
        If an input is not a real dense array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a label or an option is wrong, or a number is not finite.

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
    question; `refine` and ``stats["violation"]`` look into it.

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

    Method "rows" goes through the samples 5 to 30 times, each time for a sum: the second
    derivative (P d, P d) of the loss, and the few rows of each cone that bound it next to its
    gate. A step takes O(n (P d)^2) time, with squared loss only the first, then O(n P d). For
    samples in blocks or on a cluster it is the only one: `eps`, `refine`, `x0`, `rho`,
    ``polish=False``, boolean `patterns` and other methods raise ValueError there. Neurons come in
    float64.

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
        refine=refine,
        polish=polish,
        rho=rho,
        callback=callback,
        rng=rng,
    )
    problem = problem_of(
        X,
        y,
        settings,
        beta=beta,
        loss=loss,
        n_patterns=n_patterns,
        patterns=patterns,
        eps=eps,
        robust=robust,
        fit_intercept=fit_intercept,
        weights=weights,
        x0=x0,
    )
    with closing(callback):
        return train(problem, settings, start_of(x0, problem))


def convex_relu_path(
    X: Array,
    y: Array,
    betas: Any,
    *,
    loss: str = "squared",
    n_patterns: int = 64,
    patterns: Array | None = None,
    fit_intercept: bool = True,
    weights: Array | None = None,
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
    weights : array, shape (n,), optional
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
    values = betas_of(betas)
    settings = settings_of(method=method, tol=tol, maxiter=maxiter, callback=callback, rng=rng)
    problem = in_memory(
        X,
        y,
        settings,
        beta=values[0],
        loss=loss,
        n_patterns=n_patterns,
        patterns=patterns,
        fit_intercept=fit_intercept,
        weights=weights,
    )
    with closing(callback):
        return train_path(problem, values, settings)


def convex_relu_beta_max(
    X: Array,
    y: Array,
    *,
    loss: str = "squared",
    n_patterns: int = 64,
    patterns: Array | None = None,
    fit_intercept: bool = True,
    weights: Array | None = None,
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
    weights : array, shape (n,), optional
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
    problem = in_memory(
        X,
        y,
        settings_of(tol=1.0, maxiter=0, rng=rng),
        beta=1.0,
        loss=loss,
        n_patterns=n_patterns,
        patterns=patterns,
        fit_intercept=fit_intercept,
        weights=weights,
    )
    return problem.slope_of_zero()


def n_patterns_for(n: int, *, psi: float, xi: float) -> int:
    r"""Return how many sampled patterns make another one unlikely to help.

    .. math::

        N \ge \frac{2}{\psi} \left( n + 1 + \log \frac{1}{\xi} \right)

    With this many independent patterns, with probability at least ``1 - xi`` over their draw, a
    further one lowers the optimum of the convex program with probability at most `psi`. The
    number is linear in the samples, while all patterns are exponentially many in the rank.

    Parameters
    ----------
    n : int
        Number of training samples, at least 1.
    psi : float
        Largest probability, in (0, 1], that one more pattern helps.
    xi : float
        Largest probability, in (0, 1], that the draw fails to achieve this.

    Returns
    -------
    int
        Number of patterns or, for `convex_relu_scp`, of hidden units to draw.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number, or out of its range.

    See Also
    --------
    convex_relu : the program whose patterns these are.
    convex_relu_scp : the program with sampled hidden units.

    Notes
    -----
    A bound of the scenario approach: the optimum rests on at most n + 1 of the constraints of the
    dual problem, of which each pattern is one [1]_. The published statement for this problem [2]_
    has a smaller number for which we know of no proof.

    References
    ----------
    .. [1] M. C. Campi, S. Garatti, M. Prandini, "The scenario approach for systems and control
       design", Annual Reviews in Control 33, 2009.
    .. [2] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks", SIAM J. Math. Data Sci. 2023, arXiv:2201.01965.

    Examples
    --------
    >>> import numopt
    >>> numopt.n_patterns_for(100, psi=0.1, xi=0.01)
    2113
    """
    n = validate.at_least_one("n", n)
    psi = validate.between("psi", psi, 0.0, 1.0)
    xi = validate.between("xi", xi, 0.0, 1.0)
    return math.ceil(2 / psi * (n + 1 + math.log(1 / xi)))


def network_attack(
    W1: Array,
    w2: Array,
    X: Array,
    y: Array,
    *,
    eps: float | Array,
    kind: str = "pgd",
    loss: str = "hinge",
    steps: int = 20,
    restarts: int = 1,
    rng: Any = None,
) -> Array:
    r"""Return perturbed samples on which a two-layer ReLU network does worse.

    .. math::

        \max_{|\delta_{kj}| \le \epsilon_j} \; \ell\big(f(x_k + \delta_k), y_k\big),
        \qquad f(x) = \sum_j a_j \max(x^\top u_j, 0)

    Parameters
    ----------
    W1 : array, shape (d, m)
        Hidden weights u. With d one more than the features of `X`, the last row is the bias.
    w2 : array, shape (m,)
        Output weights a.
    X : array, shape (n, d) or (n, d - 1)
        Samples.
    y : array, shape (n,)
        Labels -1 and 1, or targets for squared loss.
    eps : float or array of shape (features,)
        Radius of the perturbation of each feature, not negative. A bias is never perturbed.
    kind : {"pgd", "fgsm"}, default "pgd"
        Projected gradient ascent, or one step along the sign of the gradient.
    loss : {"hinge", "logistic", "squared"}, default "hinge"
        What is made large. For the first two this is the negative margin ``-y f(x)``.
    steps : int, default 20
        Steps of projected gradient ascent.
    restarts : int, default 1
        Random starts besides the sample itself; the worst point of all is kept.
    rng : int or numpy.random.Generator, optional
        Source of the random starts.

    Returns
    -------
    array, shape of `X`
        The perturbed samples, each within `eps` of its own. No sample is made better.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign or an option is wrong, or a number is not finite.

    See Also
    --------
    convex_relu : trains networks, also against such perturbations.

    Notes
    -----
    Attacks bound the accuracy under perturbations from above, certificates from below. Time
    O(n d m) for each step.

    References
    ----------
    .. [1] A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu, "Towards Deep Learning Models
       Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> W1, w2 = np.array([[1.0, -1.0]]), np.array([1.0, -1.0])  # f(x) = x
    >>> X, y = np.array([[0.5], [-2.0]]), np.array([1.0, -1.0])
    >>> numopt.network_attack(W1, w2, X, y, eps=0.1, kind="fgsm")
    array([[ 0.4],
           [-1.9]])
    """
    network, X, y, radius, options = attack_of(
        W1, w2, X, y, eps=eps, kind=kind, loss=loss, steps=steps, restarts=restarts
    )
    return attacked(network, X, y, radius, options, generator(rng))
