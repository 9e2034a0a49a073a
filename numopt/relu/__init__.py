"""Two-layer ReLU networks trained to a certified optimum by a convex program.

The package is not called like its main function, which it would hide as soon as it is imported.
"""

from __future__ import annotations

from ._api import (
    convex_relu,
    convex_relu_beta_max,
    convex_relu_path,
    n_patterns_for,
    network_attack,
)
from ._result import ConvexReLUResult
from .sampled_gates import SampledReLUResult, convex_relu_scp

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
