"""Two-layer ReLU networks trained to a certified optimum by a convex program.

The package is not called like its main function, which it would hide as soon as it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._api import convex_relu, convex_relu_beta_max, convex_relu_path
from ._network import network_attack
from ._patterns import n_patterns_for
from ._result import ConvexReLUResult
from ._scp import SampledReLUResult, convex_relu_scp

if TYPE_CHECKING:
    from ._estimators import ConvexReLUClassifier, ConvexReLURegressor

__all__ = [
    "ConvexReLUClassifier",
    "ConvexReLURegressor",
    "ConvexReLUResult",
    "SampledReLUResult",
    "convex_relu",
    "convex_relu_beta_max",
    "convex_relu_path",
    "convex_relu_scp",
    "n_patterns_for",
    "network_attack",
]


def __getattr__(name: str) -> Any:
    """Return an estimator; scikit-learn is imported with the first."""
    if name not in ("ConvexReLUClassifier", "ConvexReLURegressor"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import _estimators
    except ImportError as error:
        raise ImportError(
            f"`{name}` needs scikit-learn; install the extra: pip install 'numopt-solvers[sklearn]'"
        ) from error
    return getattr(_estimators, name)
