"""Linear algebra that the Array API standard lacks and several solvers need."""

from .blas import one_blas_thread, quiet
from .cg import conjugate_gradients
from .lowrank import Factors, Frame, degrees_of_freedom, factors_of, frame_of, singular_values
from .subspace import lanczos_norm, largest_singular_value, leading_singular, subspaces
from .triangular import cholesky, cholesky_solve, solve_triangular, upper_factor

__all__ = [
    "Factors",
    "Frame",
    "cholesky",
    "cholesky_solve",
    "conjugate_gradients",
    "degrees_of_freedom",
    "factors_of",
    "frame_of",
    "lanczos_norm",
    "largest_singular_value",
    "leading_singular",
    "one_blas_thread",
    "quiet",
    "singular_values",
    "solve_triangular",
    "subspaces",
    "upper_factor",
]
