"""Two-layer ReLU networks trained to a certified optimum by a convex program."""

from ._api import convex_relu, convex_relu_beta_max, convex_relu_path
from ._network import network_attack
from ._patterns import n_patterns_for
from ._result import ConvexReLUResult
from ._scp import SampledReLUResult, convex_relu_scp

__all__ = [
    "ConvexReLUResult",
    "SampledReLUResult",
    "convex_relu",
    "convex_relu_beta_max",
    "convex_relu_path",
    "convex_relu_scp",
    "n_patterns_for",
    "network_attack",
]
