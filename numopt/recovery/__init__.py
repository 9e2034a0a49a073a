"""Robust recovery of low-rank matrices from corrupted measurements or corrupted entries.

Measurements are operators with ``shape``, ``m``, ``forward(U, V)`` for the measurements of ``U V'``
and ``adjoint_apply(s, V)`` for ``sum_i s_i A_i V``.
"""

from ._api import robust_low_rank_recovery, robust_pca
from ._result import RecoveryResult, RobustPCAResult
from .measurements import (
    DenseSensing,
    EntrySensing,
    FullEntrySensing,
    MatrixFreeSensing,
    RankOneSensing,
    SeededGaussianSensing,
    SensingOperator,
    SparseSensing,
)

__all__ = [
    "DenseSensing",
    "EntrySensing",
    "FullEntrySensing",
    "MatrixFreeSensing",
    "RankOneSensing",
    "RecoveryResult",
    "RobustPCAResult",
    "SeededGaussianSensing",
    "SensingOperator",
    "SparseSensing",
    "robust_low_rank_recovery",
    "robust_pca",
]
