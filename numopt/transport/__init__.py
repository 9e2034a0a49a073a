"""Entropic optimal transport by Sinkhorn-Newton-Sparse, with certificates."""

from ._api import entropic_transport, sinkhorn_divergence
from ._combined import DivergenceResult, TransportBatch
from ._costs import PointCloudCost
from ._result import TransportResult

__all__ = [
    "DivergenceResult",
    "PointCloudCost",
    "TransportBatch",
    "TransportResult",
    "entropic_transport",
    "sinkhorn_divergence",
]
