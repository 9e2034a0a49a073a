"""Robust recovery of low-rank matrices from corrupted measurements or corrupted entries.

Measurements are operators with ``shape``, ``m``, ``forward(U, V)`` for the measurements of ``U V'``
and ``adjoint_apply(s, V)`` for ``sum_i s_i A_i V``.
"""

from ._api import robust_low_rank_recovery
from ._operators import DenseSensing, SeededGaussianSensing, SensingOperator
from ._pca_api import robust_pca
from ._pca_result import RobustPCAResult
from ._result import RecoveryResult
from ._structured import (
    EntrySensing,
    FullEntrySensing,
    MatrixFreeSensing,
    RankOneSensing,
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
