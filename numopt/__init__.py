"""Numerical optimization solvers for NumPy, CuPy and any Array API array."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
