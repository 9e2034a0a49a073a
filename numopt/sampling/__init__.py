"""Scores of rows, coresets, and regression in the p-norm.

``lp_scores`` says how much each row of a tall matrix matters, ``lp_coreset`` draws a few weighted
rows by such scores, and ``lp_regression`` fits linear models in the p-norm or to quantiles.
"""

from ._api import lp_regression
from ._coreset import lp_coreset
from ._result import CoresetResult, LpResult, ScoresResult
from ._scores import lp_scores, total_sensitivity
from ._stream import StreamingCoreset

__all__ = [
    "CoresetResult",
    "LpResult",
    "ScoresResult",
    "StreamingCoreset",
    "lp_coreset",
    "lp_regression",
    "lp_scores",
    "total_sensitivity",
]
