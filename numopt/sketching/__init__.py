"""Random embeddings: maps to few dimensions that keep the geometry of a subspace.

Every operator S has a ``shape`` (m, n), ``apply(A)`` for ``S @ A``, ``adjoint(Y)`` for ``S.T @ Y``
and ``to_dense()``. Random numbers are drawn on the host when the operator is made, so that it gives
the same sketch with every array library.
"""

from ._hadamard import fwht
from ._operators import SRHT, CountSketch, Gaussian, Sketch, SparseSign
from ._tensor import TensorSRHT

__all__ = ["SRHT", "CountSketch", "Gaussian", "Sketch", "SparseSign", "TensorSRHT", "fwht"]
