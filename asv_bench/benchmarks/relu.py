"""Convex ReLU training: time, iterations and certificate, alone and against other solvers."""

import time

import numpy as np

import numopt

from .cases import QUICK
from .relu_cases import CASES, PEERS, case_of, evaluated


class Train:
    """The interior-point method to a certified gap, for three losses."""

    param_names = ("loss", "tol")
    params = (["squared", "logistic", "hinge"], [1e-3, 1e-6])

    def setup(self, loss, tol):
        self.case = case_of("small" if QUICK else f"breast-cancer-{loss}-20")
        self.case = self.case._replace(loss=loss)
        if loss != "squared":
            self.case = self.case._replace(y=np.where(self.case.y > 0, 1.0, -1.0))

    def solve(self, tol):
        case = self.case
        return numopt.convex_relu(
            case.X,
            case.y,
            beta=case.beta,
            loss=case.loss,
            patterns=case.gates,
            fit_intercept=False,
            tol=tol,
        )

    def time_solve(self, loss, tol):
        self.solve(tol)

    def peakmem_solve(self, loss, tol):
        self.solve(tol)

    def track_certificate(self, loss, tol):
        return self.solve(tol).gap

    track_certificate.unit = "relative gap"

    def track_iterations(self, loss, tol):
        return self.solve(tol).nit

    track_iterations.unit = "iterations"


class AgainstPeers:
    """How much longer another solver takes for the same patterns, at a checked value."""

    param_names = ("peer", "case")
    params = (list(PEERS), ["small"] if QUICK else ["breast-cancer-squared-20"])
    timeout = 600

    def setup(self, peer, name):
        self.case, self.peer = case_of(name), PEERS[peer]
        if not self.peer.available():
            raise NotImplementedError

    def track_ratio(self, peer, name):
        begin = time.perf_counter()
        PEERS["numopt"].solve(self.case, 1e-3)
        own = time.perf_counter() - begin
        begin = time.perf_counter()
        found = self.peer.solve(self.case, 1e-3)
        took = time.perf_counter() - begin
        assert np.isfinite(evaluated(self.case, *found).value)
        return took / own

    track_ratio.unit = "times numopt"


assert CASES
