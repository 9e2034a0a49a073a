"""Training with random hidden units, whose output weights solve a convex program."""

from ._api import convex_relu_scp
from ._result import SampledReLUResult

__all__ = ["SampledReLUResult", "convex_relu_scp"]
