"""Equality-constrained nonlinear programs."""

from ._api import minimize_equality
from ._result import EqualityResult

__all__ = ["EqualityResult", "minimize_equality"]
