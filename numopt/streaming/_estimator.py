"""The summary of a stream that rows are fed to."""

from __future__ import annotations

import inspect
import os
from time import perf_counter
from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, host_list
from .._core.random import generator
from ._answer import report
from ._inputs import as_rows, checked_settings, empty_like, requested_dtype, root_weights
from ._problem import Plan, plan_for
from ._result import EigenvectorResult
from ._state import State, merged, read, start
from ._storage import packed, read_file, unpacked, write_file


class StreamingEigenvector:
    r"""Summary of a stream of rows that knows its top eigenvector.

    For the matrix A of all rows read so far, unit vectors for

    .. math::

        \max_{\|x\| = 1} \; \|A x\|_2^2

    from one pass over rows that come in chunks, with memory for `memory_rows` rows.

    Parameters
    ----------
    rank : int, default 1
        Number of leading eigenvectors of A'A.
    memory_rows : int, default 24
        Vectors of the length of a row that may be kept, at least ``2 rank + 2``.
    method : str, default "auto"
        "auto" runs three tracks side by side and lets held-out rows choose. "truncate" is the
        first of them alone, merge and truncate, which is incremental PCA. "block-power" is the
        second, the power method over blocks with the heaviest rows kept exactly. "oja" is Oja's
        method with a grid of fixed rates, "fd" is Frequent Directions, and "gram" keeps the exact
        matrix A'A, d rows.
    tol : float, default 0.01
        Squared sine of the angle to the true eigenvector that counts as success.
    n_rows : int, optional
        Length of the stream, for ``blocks="uniform"``.
    blocks : {"growing", "uniform"}, default "growing"
        Blocks of the power method: each `growth` times as long as the one before, or the
        ``2 log(d)`` equal blocks of the published algorithm.
    growth : float, default 1.5
        Ratio of the lengths of consecutive blocks.
    heavy_threshold : float, optional
        A row is kept exactly if its squared norm is this many times ``||A||_F^2 / d``. Default
        ``1 / log(d)``.
    center : bool, default False
        Subtract the mean of the rows, as in principal component analysis.
    gram_limit : int, default 2048
        Largest number of columns for method "gram".
    decay : float, optional
        Factor in (0, 1] by which older rows count less with every new one, for "truncate".
    dtype : dtype, optional
        Precision, float32 or float64. Default: that of the first chunk; integers become the
        default float.
    rng : None, int or numpy.random.Generator, optional
        Source of the random starts.

    See Also
    --------
    top_eigenvector : a whole matrix, or any source of chunks, in one call.

    Notes
    -----
    The tracks are: T, which merges a few rows at a time into a small factor and truncates it; P,
    the block power method of [1]_ with growing blocks; and O, Oja's method with the step size of
    AdaOja. At the start of each block of P a vector of each track is set aside, and the block's
    rows, which none of them has seen, tell which is best. T is kept unless another is better by
    three standard errors. The same rows give an unbiased estimate of the residual.

    Two statements come with an answer. `sin2_bound` holds for every stream in any order. Where
    it says nothing, because the other eigenvalues together outweigh the gap, `sin2_estimate`
    is about rows in random order; `order_pvalue` tells whether the stream contradicts that.

    Memory is `memory_rows` vectors in all. A row costs about ``2 d (memory_rows + 10)``
    operations. Results do not depend on how rows are cut into chunks, up to rounding.

    Follows the conventions of scikit-learn (``get_params``, ``clone``, ``n_features_in_``)
    without needing it. Chunks are arrays of NumPy (compiled by Numba above some size), CuPy,
    PyTorch and any other Array API library, or compressed sparse rows.

    References
    ----------
    .. [1] P. Kacham, D. P. Woodruff, "Approximating the Top Eigenvector in Random Order
       Streams", NeurIPS 2024, arXiv:2412.11963.
    .. [2] E. Price, Z. Xun, "Spectral Guarantees for Adversarial Streaming PCA", FOCS 2024,
       arXiv:2408.10332.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> model = numopt.StreamingEigenvector(rng=0)
    >>> for _ in range(30):
    ...     chunk = rng.normal(size=(100, 10)) * np.array([1, 1, 3] + 7 * [1])
    ...     model = model.partial_fit(chunk)
    >>> result = model.result()
    >>> result.success, result.n_rows, int(np.argmax(result.x))
    (True, 3000, 2)
    """

    def __init__(
        self,
        rank: int = 1,
        *,
        memory_rows: int = 24,
        method: str = "auto",
        tol: float = 1e-2,
        n_rows: int | None = None,
        blocks: str = "growing",
        growth: float = 1.5,
        heavy_threshold: float | None = None,
        center: bool = False,
        gram_limit: int = 2048,
        decay: float | None = None,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        self.rank = rank
        self.memory_rows = memory_rows
        self.method = method
        self.tol = tol
        self.n_rows = n_rows
        self.blocks = blocks
        self.growth = growth
        self.heavy_threshold = heavy_threshold
        self.center = center
        self.gram_limit = gram_limit
        self.decay = decay
        self.dtype = dtype
        self.rng = rng
        self._restart()

    def _restart(self) -> None:
        """Check the parameters and forget all rows."""
        self._settings = checked_settings(self.get_params())
        self._random = generator(self.rng)
        self._plan: Plan | None = None
        self._state: State | None = None
        self._seconds = 0.0

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the parameters by name; `deep` is there for scikit-learn."""
        names = list(inspect.signature(type(self)).parameters)
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> StreamingEigenvector:
        """Set parameters by name (`params`), forget all rows, and return self."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"`params` must be names of parameters, got {name!r}.")
            setattr(self, name, value)
        self._restart()
        return self

    def __repr__(self) -> str:
        """Return the call that makes this summary, with what differs from the defaults."""
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether rows were read."""
        return self._state is not None

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn, which asks for this, may expect."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(sparse=True),
        )

    @property
    def n_features_in_(self) -> int:
        """Number of columns, known from the first chunk on."""
        if self._state is None:
            raise AttributeError("`n_features_in_` is known once rows have been read.")
        return int(self._state.like.shape[1])

    @property
    def n_rows_seen_(self) -> int:
        """Number of rows read."""
        return 0 if self._state is None else self._state.n

    def fit(self, X: Any, y: Any = None) -> StreamingEigenvector:  # noqa: ARG002
        """Forget all rows, read those of `X` (n, d), and return self; `y` is not used."""
        self._restart()
        return self.partial_fit(X)

    def partial_fit(
        self,
        chunk: Any,
        y: Any = None,  # noqa: ARG002
        *,
        weights: Any = None,
    ) -> StreamingEigenvector:
        """Read the rows of ``chunk`` and return self.

        ``chunk`` is an array (n, d), a row (d,) or a sparse matrix. Row i counts as often as
        `weights` (n,) says. Nothing changes if the chunk is not as it should be. `y` is not used.
        """
        begun, plan, state = perf_counter(), self._plan, self._state
        dtype = requested_dtype(self.dtype, chunk) if state is None else None
        rows = as_rows(chunk, dtype, None if state is None else state.like)
        if rows.sparse and self.center:
            raise ValueError("`center` needs dense rows, got a sparse matrix.")
        roots = root_weights(weights, rows)
        if plan is None or state is None:
            plan = plan_for(self._settings, rows.d)
            state = start(empty_like(rows), plan, self._random)
        if rows.n:
            rows = rows if weights is None else rows.times(roots)
            state = read(state, rows, roots, plan, self._random)
        self._state, self._plan = state, plan
        self._seconds += perf_counter() - begun
        return self

    def merge(self, other: StreamingEigenvector) -> StreamingEigenvector:
        """Add the rows that `other` has read, whose summary is left alone, and return self."""
        if not isinstance(other, StreamingEigenvector):
            raise TypeError(f"`other` must be a StreamingEigenvector, got {type(other).__name__}.")
        if self._settings._replace(tol=other._settings.tol) != other._settings:
            raise ValueError("`other` must have the same parameters; its own differ.")
        self._seconds += other._seconds
        if other._state is None:
            return self
        if self._state is None:
            self._state, self._plan = other._state, other._plan
            return self
        mine, its = self._state.like, other._state.like
        if mine.shape != its.shape or mine.dtype != its.dtype:
            raise ValueError(
                f"`other` must have read rows of {mine.shape[1]} numbers in {mine.dtype}, got "
                f"{its.shape[1]} in {its.dtype}."
            )
        validate.common_namespace(chunk=mine, other=its)
        assert self._plan is not None
        self._state = merged(self._state, other._state, self._plan)
        return self

    def result(self) -> EigenvectorResult:
        """Return the answer for the rows read so far; changes nothing."""
        return self._answer()

    def _answer(self, *, stopped: bool = False) -> EigenvectorResult:
        if self._state is None or self._plan is None:
            raise RuntimeError("No rows have been read; call `partial_fit` first.")
        return report(self._state, self._plan, stopped=stopped, seconds=self._seconds)

    @property
    def components_(self) -> Array:
        """Eigenvectors as rows (rank, d)."""
        x = self.result().x
        return x[None, :] if x.ndim == 1 else x.T

    @property
    def explained_variance_ratio_(self) -> list[float]:
        """Share of the sum of squares in each direction."""
        result = self.result()
        total = result.frobenius2
        return [float(value) / total for value in host_list(result.eigenvalues)]

    def transform(self, X: Any) -> Array:
        """Return the coordinates (n, rank) of the rows of `X` (n, d) along the eigenvectors."""
        result = self.result()
        assert self._state is not None
        rows = as_rows(X, None, self._state.like)
        dense = rows.dense() if result.mean is None else rows.dense() - result.mean[None, :]
        x = result.x[:, None] if result.x.ndim == 1 else result.x
        return array_namespace(x).matmul(dense, x)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is kept as a flat dictionary of arrays, numbers and strings."""
        return packed(self)

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> StreamingEigenvector:
        """Return the summary that `state` is of, which goes on exactly as the original."""
        return unpacked(cls, state)  # type: ignore[no-any-return]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the summary to the file `path` (.npz), whole or not at all."""
        write_file(path, self.state_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StreamingEigenvector:
        """Return the summary in the file `path`, on NumPy; a damaged file raises ValueError."""
        return cls.from_state_dict(read_file(path))
