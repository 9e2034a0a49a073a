from . import plotting as plotting
from ._result import Result as Result
from ._version import __version__ as __version__
from .progress import ProgressBar as ProgressBar
from .sampling import CoresetResult as CoresetResult
from .sampling import LpResult as LpResult
from .sampling import ScoresResult as ScoresResult
from .sampling import lp_coreset as lp_coreset
from .sampling import lp_regression as lp_regression
from .sampling import lp_scores as lp_scores
from .sampling import total_sensitivity as total_sensitivity
from .transport import DivergenceResult as DivergenceResult
from .transport import PointCloudCost as PointCloudCost
from .transport import TransportBatch as TransportBatch
from .transport import TransportResult as TransportResult
from .transport import entropic_transport as entropic_transport
from .transport import sinkhorn_divergence as sinkhorn_divergence

__all__ = [
    "CoresetResult",
    "DivergenceResult",
    "LpResult",
    "PointCloudCost",
    "ProgressBar",
    "Result",
    "ScoresResult",
    "TransportBatch",
    "TransportResult",
    "__version__",
    "entropic_transport",
    "lp_coreset",
    "lp_regression",
    "lp_scores",
    "plotting",
    "sinkhorn_divergence",
    "total_sensitivity",
]
