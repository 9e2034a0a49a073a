from . import plotting as plotting
from ._result import Result as Result
from ._version import __version__ as __version__
from .constrained import EqualityResult as EqualityResult
from .constrained import minimize_equality as minimize_equality
from .progress import ProgressBar as ProgressBar
from .transport import DivergenceResult as DivergenceResult
from .transport import PointCloudCost as PointCloudCost
from .transport import TransportBatch as TransportBatch
from .transport import TransportResult as TransportResult
from .transport import entropic_transport as entropic_transport
from .transport import sinkhorn_divergence as sinkhorn_divergence

__all__ = [
    "DivergenceResult",
    "EqualityResult",
    "PointCloudCost",
    "ProgressBar",
    "Result",
    "TransportBatch",
    "TransportResult",
    "__version__",
    "entropic_transport",
    "minimize_equality",
    "plotting",
    "sinkhorn_divergence",
]
