"""Scores of rows, coresets, and regression in the p-norm.

``lp_scores`` says how much each row of a tall matrix matters, ``lp_coreset`` draws a few weighted
rows by such scores, and ``lp_regression`` fits linear models in the p-norm or to quantiles.
"""

from ._api import lp_coreset, lp_regression, lp_scores, total_sensitivity
from ._result import CoresetResult, LpResult, ScoresResult
from ._streaming_coreset import StreamingCoreset

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
