from . import estimators as estimators
from . import plotting as plotting
from . import recovery as recovery
from . import sketching as sketching
from ._core.dispatch import kernels as kernels
from ._core.outcome import Check as Check
from ._core.outcome import Result as Result
from ._core.outcome import Status as Status
from ._core.threads import get_num_threads as get_num_threads
from ._core.threads import num_threads as num_threads
from ._core.threads import set_num_threads as set_num_threads
from ._rows import RowSource as RowSource
from ._rows import row_blocks as row_blocks
from ._version import __version__ as __version__
from .completion import MatrixCompletionResult as MatrixCompletionResult
from .completion import RankPathResult as RankPathResult
from .completion import matrix_completion as matrix_completion
from .completion import rank_path as rank_path
from .constrained import EqualityResult as EqualityResult
from .constrained import RowSum as RowSum
from .constrained import minimize_equality as minimize_equality
from .estimators import ConvexReLUClassifier as ConvexReLUClassifier
from .estimators import ConvexReLURegressor as ConvexReLURegressor
from .progress import ProgressBar as ProgressBar
from .recovery import RecoveryResult as RecoveryResult
from .recovery import RobustPCAResult as RobustPCAResult
from .recovery import robust_low_rank_recovery as robust_low_rank_recovery
from .recovery import robust_pca as robust_pca
from .regression import KronResult as KronResult
from .regression import LstsqFactor as LstsqFactor
from .regression import LstsqResult as LstsqResult
from .regression import kron_lstsq as kron_lstsq
from .regression import lstsq as lstsq
from .regression import lstsq_factor as lstsq_factor
from .relu import ConvexReLUResult as ConvexReLUResult
from .relu import SampledReLUResult as SampledReLUResult
from .relu import convex_relu as convex_relu
from .relu import convex_relu_beta_max as convex_relu_beta_max
from .relu import convex_relu_path as convex_relu_path
from .relu import convex_relu_scp as convex_relu_scp
from .relu import n_patterns_for as n_patterns_for
from .relu import network_attack as network_attack
from .sampling import CoresetResult as CoresetResult
from .sampling import LpResult as LpResult
from .sampling import ScoresResult as ScoresResult
from .sampling import StreamingCoreset as StreamingCoreset
from .sampling import lp_coreset as lp_coreset
from .sampling import lp_regression as lp_regression
from .sampling import lp_scores as lp_scores
from .sampling import total_sensitivity as total_sensitivity
from .streaming import EigenvectorResult as EigenvectorResult
from .streaming import StreamingEigenvector as StreamingEigenvector
from .streaming import top_eigenvector as top_eigenvector
from .transport import DivergenceResult as DivergenceResult
from .transport import PointCloudCost as PointCloudCost
from .transport import TransportBatch as TransportBatch
from .transport import TransportResult as TransportResult
from .transport import entropic_transport as entropic_transport
from .transport import sinkhorn_divergence as sinkhorn_divergence
from .verify import verify as verify

__all__ = [
    "Check",
    "ConvexReLUClassifier",
    "ConvexReLURegressor",
    "ConvexReLUResult",
    "CoresetResult",
    "DivergenceResult",
    "EigenvectorResult",
    "EqualityResult",
    "KronResult",
    "LpResult",
    "LstsqFactor",
    "LstsqResult",
    "MatrixCompletionResult",
    "PointCloudCost",
    "ProgressBar",
    "RankPathResult",
    "RecoveryResult",
    "Result",
    "RobustPCAResult",
    "RowSource",
    "RowSum",
    "SampledReLUResult",
    "ScoresResult",
    "Status",
    "StreamingCoreset",
    "StreamingEigenvector",
    "TransportBatch",
    "TransportResult",
    "__version__",
    "convex_relu",
    "convex_relu_beta_max",
    "convex_relu_path",
    "convex_relu_scp",
    "entropic_transport",
    "estimators",
    "get_num_threads",
    "kernels",
    "kron_lstsq",
    "lp_coreset",
    "lp_regression",
    "lp_scores",
    "lstsq",
    "lstsq_factor",
    "matrix_completion",
    "minimize_equality",
    "n_patterns_for",
    "network_attack",
    "num_threads",
    "plotting",
    "rank_path",
    "recovery",
    "robust_low_rank_recovery",
    "robust_pca",
    "row_blocks",
    "set_num_threads",
    "sinkhorn_divergence",
    "sketching",
    "top_eigenvector",
    "total_sensitivity",
    "verify",
]
