"""Estimators in the style of scikit-learn, which is imported with this package only."""

try:
    from ._relu import ConvexReLUClassifier, ConvexReLURegressor
except ImportError as error:
    raise ImportError(
        "`numopt.estimators` needs scikit-learn; install the extra: "
        "pip install 'numopt-solvers[sklearn]'"
    ) from error

__all__ = ["ConvexReLUClassifier", "ConvexReLURegressor"]
