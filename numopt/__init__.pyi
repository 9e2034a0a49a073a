from . import plotting as plotting
from ._result import Result as Result
from ._version import __version__ as __version__
from .progress import ProgressBar as ProgressBar
from .transport import DivergenceResult as DivergenceResult
from .transport import PointCloudCost as PointCloudCost
from .transport import TransportBatch as TransportBatch
from .transport import TransportResult as TransportResult
from .transport import entropic_transport as entropic_transport
from .transport import sinkhorn_divergence as sinkhorn_divergence

__all__ = [
    "DivergenceResult",
    "PointCloudCost",
    "ProgressBar",
    "Result",
    "TransportBatch",
    "TransportResult",
    "__version__",
    "entropic_transport",
    "plotting",
    "sinkhorn_divergence",
]
