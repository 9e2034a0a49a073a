"""Linear measurements of a matrix, as operators."""

from .dense import DenseSensing, SeededGaussianSensing
from .entries import EntrySensing, FullEntrySensing, LayoutSensing
from .operators import Direction, SensingOperator
from .structured import MatrixFreeSensing, RankOneSensing, SparseSensing

__all__ = [
    "DenseSensing",
    "Direction",
    "EntrySensing",
    "FullEntrySensing",
    "LayoutSensing",
    "MatrixFreeSensing",
    "RankOneSensing",
    "SeededGaussianSensing",
    "SensingOperator",
    "SparseSensing",
]
