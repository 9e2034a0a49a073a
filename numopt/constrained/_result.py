"""What `minimize_equality` returns."""

from __future__ import annotations

from typing import Any

from .. import _validate
from .._namespace import Array, array_namespace
from .._result import Result


class EqualityResult(Result):
    """placeholder"""

    def _attach(self, **hidden: Any) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        for name, value in hidden.items():
            object.__setattr__(self, name, value)
