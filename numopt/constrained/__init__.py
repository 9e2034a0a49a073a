"""Equality-constrained nonlinear programs."""

from ._api import minimize_equality
from ._result import EqualityResult
from .row_sums import RowSum

__all__ = ["EqualityResult", "RowSum", "minimize_equality"]
