"""Networks of one hidden layer with fit and predict."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from .._losses.pointwise import expit
from ..relu import convex_relu

# Sparse samples are stored densely up to this many bytes.
_DENSE_LIMIT = 2**31
_NO_TARGETS = object()


class _ConvexReLU(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: scaling, training, warnings."""

    def _samples(self, X: Any, y: Any = _NO_TARGETS) -> Any:
        """Return validated dense samples, with targets if given."""
        fitting = y is not _NO_TARGETS
        options: dict[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32)}
        if fitting:
            samples, targets = validate_data(self, X, y, multi_output=True, **options)
        else:
            samples = validate_data(self, X, reset=False, **options)
        if hasattr(samples, "toarray"):
            needed = samples.shape[0] * samples.shape[1] * samples.dtype.itemsize
            if needed > _DENSE_LIMIT:
                raise MemoryError(
                    f"`X` would take {needed / 2**30:.1f} GB as a dense array, "
                    f"and the limit is {_DENSE_LIMIT / 2**30:.0f} GB."
                )
            samples = samples.toarray()
        return (samples, targets) if fitting else samples

    def _train(self, X: Any, targets: Any, weights: Any, loss: str) -> None:
        """Train on distinct samples."""
        self.mean_ = np.zeros(X.shape[1], dtype=X.dtype)
        self.scale_ = np.ones(X.shape[1], dtype=X.dtype)
        if self.scale:
            self.mean_ = np.average(X, axis=0, weights=weights).astype(X.dtype)
            spread = np.sqrt(np.average((X - self.mean_) ** 2, axis=0, weights=weights))
            constant = spread <= 10 * np.finfo(X.dtype).eps * np.abs(self.mean_)
            self.scale_ = np.where(constant, 1, spread).astype(X.dtype)
        self.result_ = convex_relu(
            self._scaled(X),
            targets,
            beta=self.beta,
            loss=loss,
            n_patterns=self.n_patterns,
            eps=self.eps / self.scale_ if np.any(np.asarray(self.eps) > 0) else 0.0,
            robust=self.robust,
            weights=weights.astype(X.dtype),
            method=self.method,
            refine=self.refine,
            tol=self.tol,
            maxiter=self.max_iter,
            rng=_seed(self.random_state),
        )
        self.n_iter_ = max(self.result_.nit, 1)
        if not self.result_.success:
            warnings.warn(self.result_.message, ConvergenceWarning, stacklevel=3)

    def _scaled(self, X: Any) -> Any:
        return (X - self.mean_) / self.scale_

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        X = self._samples(X).astype(self.mean_.dtype)
        return self.result_.predict(self._scaled(X))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn's tools may expect."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _distinct(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Return distinct samples in order, their targets, and the sum of their positive weights.

    A repeated sample is one of twice the weight, also to the last bit of what is computed.
    """
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    matters = weights > 0
    if not np.any(matters):
        raise ValueError("`sample_weight` must have a positive entry.")
    columns = np.reshape(y, (len(X), -1))
    rows = np.concatenate([X, columns], axis=1)[matters]
    rows, index = np.unique(rows, axis=0, return_inverse=True)
    sums = np.bincount(np.reshape(index, -1), weights[matters])
    d = X.shape[1]
    return (
        np.ascontiguousarray(rows[:, :d]).astype(X.dtype),
        np.reshape(rows[:, d:], (-1, *np.shape(y)[1:])),
        sums,
    )


def _seed(random_state: Any) -> Any:
    """Return a generator for scikit-learn's ways to say where random numbers come from."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    return np.random.default_rng(random_state)


class ConvexReLURegressor(RegressorMixin, _ConvexReLU):  # type: ignore[misc]
    """Regression by a two-layer ReLU network trained to a certified optimum.

    Parameters
    ----------
    beta : float, default 1.0
        Weight decay of the network, for a loss that is a sum over samples.
    n_patterns : int, default 64
        Activation patterns to draw.
    refine : int, default 0
        Rounds of column generation: patterns that would help are added.
    eps : float, default 0.0
        Radius of the perturbations to withstand, in the unit of the features.
    robust : {"pattern", "lipschitz"}, default "pattern"
        How perturbations enter; see `convex_relu`.
    method : {"auto", "interior", "rows", "cholesky", "sylvester", "rbcd"}, default "auto"
        Solver; see `convex_relu`.
    tol : float, default 0.001
        Largest certified relative gap.
    max_iter : int, default 5000
        Largest number of iterations for each output.
    scale : bool, default True
        Whether features and targets are standardized first.
    random_state : int, RandomState, Generator or None, default None
        Source of the random patterns.

    Attributes
    ----------
    result_ : ConvexReLUResult
        The solution with its certificate, for the scaled data.
    mean_, scale_ : ndarray of shape (n_features,)
        What features were shifted and divided by.
    n_features_in_ : int
        Number of features.
    n_iter_ : int
        Iterations done.

    See Also
    --------
    ConvexReLUClassifier : the classifier.
    convex_relu : the solver, for any array library.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 60)[:, None]
    >>> model = numopt.ConvexReLURegressor(beta=0.01, random_state=0).fit(x, np.sin(3 * x[:, 0]))
    >>> bool(model.score(x, np.sin(3 * x[:, 0])) > 0.99)
    True
    """

    def __init__(
        self,
        *,
        beta: float = 1.0,
        n_patterns: int = 64,
        refine: int = 0,
        eps: float = 0.0,
        robust: str = "pattern",
        method: str = "auto",
        tol: float = 1e-3,
        max_iter: int = 5000,
        scale: bool = True,
        random_state: Any = None,
    ) -> None:
        self.beta = beta
        self.n_patterns = n_patterns
        self.refine = refine
        self.eps = eps
        self.robust = robust
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.scale = scale
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ConvexReLURegressor:
        """Train on samples `X` (n, d) and targets `y` (n,) or (n, C) with weights; return self."""
        X, y = self._samples(X, y)
        X, y, weights = _distinct(X, np.asarray(y, dtype=X.dtype), sample_weight)
        self.y_mean_ = np.zeros(y.shape[1:], dtype=X.dtype)
        self.y_scale_ = np.ones(y.shape[1:], dtype=X.dtype)
        if self.scale:
            self.y_mean_ = np.average(y, axis=0, weights=weights)
            spread = np.sqrt(np.average((y - self.y_mean_) ** 2, axis=0, weights=weights))
            self.y_scale_ = np.where(spread > 0, spread, 1.0)
        targets = ((y - self.y_mean_) / self.y_scale_).astype(X.dtype)
        self._train(X, targets, weights, "squared")
        return self

    def predict(self, X: Any) -> Any:
        """Return predicted targets for samples `X`."""
        return self._outputs(X) * self.y_scale_ + self.y_mean_

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn's tools may expect."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ConvexReLUClassifier(ClassifierMixin, _ConvexReLU):  # type: ignore[misc]
    """Classification by two-layer ReLU networks trained to a certified optimum.

    More than two classes are one problem each against the rest, solved with shared patterns.

    Parameters
    ----------
    beta : float, default 1.0
        Weight decay of the network, for a loss that is a sum over samples.
    loss : {"logistic", "hinge", "squared"}, default "logistic"
        Loss of the labels; only the first gives probabilities.
    n_patterns : int, default 64
        Activation patterns to draw.
    refine : int, default 0
        Rounds of column generation: patterns that would help are added.
    eps : float, default 0.0
        Radius of the perturbations to withstand, in the unit of the features.
    robust : {"pattern", "lipschitz"}, default "pattern"
        How perturbations enter; see `convex_relu`.
    method : {"auto", "interior", "rows", "cholesky", "sylvester", "rbcd"}, default "auto"
        Solver; see `convex_relu`.
    tol : float, default 0.001
        Largest certified relative gap.
    max_iter : int, default 5000
        Largest number of iterations for each class.
    scale : bool, default True
        Whether features are standardized first.
    random_state : int, RandomState, Generator or None, default None
        Source of the random patterns.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    result_ : ConvexReLUResult
        The solution with its certificate, for the scaled data.
    mean_, scale_ : ndarray of shape (n_features,)
        What features were shifted and divided by.
    n_features_in_ : int
        Number of features.
    n_iter_ : int
        Iterations done.

    See Also
    --------
    ConvexReLURegressor : the regressor.
    convex_relu : the solver, for any array library.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> X = np.random.default_rng(0).normal(size=(80, 2))
    >>> labels = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    >>> model = numopt.ConvexReLUClassifier(beta=0.1, random_state=0).fit(X, labels)
    >>> bool(model.score(X, labels) > 0.95)
    True
    """

    def __init__(
        self,
        *,
        beta: float = 1.0,
        loss: str = "logistic",
        n_patterns: int = 64,
        refine: int = 0,
        eps: float = 0.0,
        robust: str = "pattern",
        method: str = "auto",
        tol: float = 1e-3,
        max_iter: int = 5000,
        scale: bool = True,
        random_state: Any = None,
    ) -> None:
        self.beta = beta
        self.loss = loss
        self.n_patterns = n_patterns
        self.refine = refine
        self.eps = eps
        self.robust = robust
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.scale = scale
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ConvexReLUClassifier:
        """Train on samples `X` (n, d) and labels `y` (n,) with weights; return self."""
        X, y = self._samples(X, y)
        check_classification_targets(y)
        self.classes_, index = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"`y` must have at least two classes, got {count} class.")
        X, index, weights = _distinct(X, index.astype(float), sample_weight)
        chosen = index == 1 if count == 2 else index[:, None] == np.arange(count)
        targets = 2.0 * chosen - 1
        self._train(X, targets.astype(X.dtype), weights, self.loss)
        return self

    def decision_function(self, X: Any) -> Any:
        """Return outputs for samples `X`: (n,) for two classes, else (n, n_classes)."""
        return self._outputs(X)

    def predict(self, X: Any) -> Any:
        """Return predicted labels for samples `X`."""
        outputs = self.decision_function(X)
        index = (outputs > 0).astype(int) if outputs.ndim == 1 else np.argmax(outputs, axis=1)
        return self.classes_[index]

    def _check_probabilities(self) -> bool:
        if self.loss != "logistic":
            raise AttributeError(f"There are no probabilities with loss {self.loss!r}.")
        return True

    @property
    def predict_proba(self) -> Any:
        """Function that returns probabilities of the classes for samples; logistic loss only."""
        self._check_probabilities()
        return self._probabilities

    def _probabilities(self, X: Any) -> Any:
        """Return probabilities (n, n_classes) for samples `X`, rows sum to one."""
        outputs = self.decision_function(X)
        if outputs.ndim == 1:
            positive = expit(outputs)
            return np.stack([1 - positive, positive], axis=1)
        shares = expit(outputs)
        return shares / shares.sum(axis=1, keepdims=True)
