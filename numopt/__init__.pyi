from . import plotting as plotting
from ._result import Result as Result
from ._version import __version__ as __version__
from .progress import ProgressBar as ProgressBar
from .relu import ConvexReLUClassifier as ConvexReLUClassifier
from .relu import ConvexReLURegressor as ConvexReLURegressor
from .relu import ConvexReLUResult as ConvexReLUResult
from .relu import SampledReLUResult as SampledReLUResult
from .relu import convex_relu as convex_relu
from .relu import convex_relu_beta_max as convex_relu_beta_max
from .relu import convex_relu_path as convex_relu_path
from .relu import convex_relu_scp as convex_relu_scp
from .relu import n_patterns_for as n_patterns_for
from .relu import network_attack as network_attack
from .transport import DivergenceResult as DivergenceResult
from .transport import PointCloudCost as PointCloudCost
from .transport import TransportBatch as TransportBatch
from .transport import TransportResult as TransportResult
from .transport import entropic_transport as entropic_transport
from .transport import sinkhorn_divergence as sinkhorn_divergence

__all__ = [
    "ConvexReLUClassifier",
    "ConvexReLURegressor",
    "ConvexReLUResult",
    "DivergenceResult",
    "PointCloudCost",
    "ProgressBar",
    "Result",
    "SampledReLUResult",
    "TransportBatch",
    "TransportResult",
    "__version__",
    "convex_relu",
    "convex_relu_beta_max",
    "convex_relu_path",
    "convex_relu_scp",
    "entropic_transport",
    "n_patterns_for",
    "network_attack",
    "plotting",
    "sinkhorn_divergence",
]
