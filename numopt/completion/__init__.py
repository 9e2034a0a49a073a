"""Low-rank matrices from a part of their entries."""

from ._api import matrix_completion, rank_path
from ._result import MatrixCompletionResult, RankPathResult

__all__ = ["MatrixCompletionResult", "RankPathResult", "matrix_completion", "rank_path"]
