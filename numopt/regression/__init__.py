"""Linear least squares by sketching, with a backward error measured on every answer."""

from ._api import kron_lstsq, lstsq, lstsq_factor
from ._factor import LstsqFactor
from ._result import KronResult, LstsqResult

__all__ = ["KronResult", "LstsqFactor", "LstsqResult", "kron_lstsq", "lstsq", "lstsq_factor"]
