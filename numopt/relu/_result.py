"""What convex training returns."""

from __future__ import annotations

from .._core import validate
from .._core.namespace import Array
from .._core.outcome import Result
from ._network import outputs_of
from ._program import with_bias


class ConvexReLUResult(Result):
    """A two-layer ReLU network, and how close it is to the optimum of its convex program.

    Attributes
    ----------
    x : array, shape (d, 2P) or (d, 2P, C)
        `coef_pos` and `coef_neg` next to each other. Here d counts the bias, the last row, if
        there is one.
    coef_pos, coef_neg : array, shape (d, P) or (d, P, C)
        Neurons of each pattern that add to the prediction and that subtract from it. They satisfy
        all constraints of the program.
    W1 : array, shape (d, m)
        Hidden weights of the network, the neurons that are not zero.
    w2 : array, shape (m,) or (m, C)
        Output weights of the network.
    patterns : array, shape (n, P), or None
        Distinct patterns used, true where a sample is on. For a Dask array one in its chunks, that
        is computed when asked for; None for samples read in blocks, where ``X @ gates >= 0``.
    gates : array, shape (d, P)
        A vector inside the cone of each pattern.
    fun : float
        Objective of the convex program at the neurons, summed over outputs: an upper bound of
        its optimum.
    dual : float
        A lower bound of that optimum, proved by `theta`.
    gap : float
        ``(fun - dual) / fun``, the largest over the outputs: no other neurons under these
        patterns are better by more than this share.
    output_fun, output_dual : list of float
        Both bounds for each output.
    infeas : float
        Norm of the violated slacks relative to that of all; 0 unless ``polish=False``.
    net_fun : float
        Objective of the network in its own training problem. Equal to `fun` for feasible neurons.
    theta : array, shape (n,) or (n, C)
        Dual variables of the samples that prove `dual`. For a Dask array one in its chunks, which
        the cluster holds.
    violation : float or None
        After enrichment, the largest value found of ``|theta'(X u)_+| / beta`` over unit vectors:
        1 means that a local search found no neuron that would help. None without enrichment.
    certified : float or None
        With perturbations and labels, the share of training samples whose label no perturbation
        changes under the bound of the program. None otherwise.
    success : bool
        Whether `gap` and `infeas` meet the tolerance.
    status : int
        0 converged, 1 iteration limit, 2 stopped where the network got no better
        (``stop="network"``), 3 rounding allows no further progress, 4 no pattern survives the
        perturbation, 5 the gap is an estimate that is not proved (there are too many samples and
        features to project neurons), 98 a number that is not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations, over all outputs and rounds of enrichment.
    nfac : int
        Matrix factorizations of the size of the problem.
    method : str
        The method that ran.
    rho : tuple of float or None
        Final penalties of a splitting method, in normalized units.
    beta : float
        The weight decay solved for.
    loss : str
        The loss solved for.
    history : list of dict
        For each check ``nit``, ``error`` (the gap), ``fun``, ``dual``, ``infeas`` and ``output``,
        the index of the output it belongs to, -1 if to all.
    n_passes : int
        Passes over samples that are read in blocks, or lie on a cluster; 0 in memory.
    n_blocks : int
        Chunks of a Dask array, 1 for any other.
    n_retries : int
        How often a pass was repeated after a cluster lost workers.

    See Also
    --------
    convex_relu : the function that returns this.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 30)[:, None]
    >>> result = numopt.convex_relu(x, abs(x[:, 0]), beta=1e-4, rng=0)
    >>> bool(abs(result.predict(x) - abs(x[:, 0])).max() < 0.02)
    True
    """

    def predict(self, X: Array) -> Array:
        """Return the output of the network for samples `X` (n, features), (n,) or (n, C).

        For logistic and hinge loss its sign is the predicted label.
        """
        W1, w2 = self.W1, self.w2
        validate.common_namespace(W1=W1, X=X)
        X = validate.as_array("X", X, ndim=2, dtype=W1.dtype)
        bias = self.coef_pos.shape[0] - X.shape[1]
        if bias not in (0, 1):
            raise ValueError(
                f"`X` must have the features that were trained on, got {X.shape[1]} columns."
            )
        return outputs_of(with_bias(X) if bias else X, W1, w2)
