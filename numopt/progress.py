"""A progress bar for any iterative solver."""

from __future__ import annotations

import math
from typing import Any

from ._core.outcome import Result


class ProgressBar:
    """Show how far a solver has come, as its `callback`.

    The bar counts iterations and shows the current error. It is closed by the solver when the
    solver returns; one object can serve several solves in turn. Needs tqdm, the extra
    ``progress``.

    Parameters
    ----------
    description : str, optional
        Text before the bar.
    **options
        Passed on to ``tqdm.auto.tqdm``, such as ``file``, ``disable`` or ``leave``.

    Raises
    ------
    ImportError
        If tqdm is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> bar = numopt.ProgressBar("transport", disable=True)
    >>> numopt.entropic_transport(np.eye(3), reg=0.1, callback=bar).success
    True
    """

    def __init__(self, description: str | None = None, **options: Any) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "ProgressBar needs tqdm: install it, or install numopt-solvers[progress]."
            ) from error
        self._open = tqdm
        self._options = {"desc": description, "unit": "it", **options}
        self._bar: Any = None

    def __repr__(self) -> str:
        """Return what the bar is called, and how far it has come."""
        description = self._options["desc"]
        shown = "" if description is None else f"{description!r}"
        state = "closed" if self._bar is None else f"{self._bar.n} iterations"
        return f"ProgressBar({shown}): {state}"

    def __call__(self, intermediate_result: Result) -> None:
        """Advance the bar to the iteration of `intermediate_result`."""
        if self._bar is None:
            self._bar = self._open(**self._options)
        error = float(intermediate_result["error"])
        if math.isfinite(error):
            self._bar.set_postfix(error=f"{error:.1e}", refresh=False)
        self._bar.update(int(intermediate_result["nit"]) - self._bar.n)

    def close(self) -> None:
        """End the bar; the next call opens a new one."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None
