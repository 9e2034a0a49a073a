"""One result of every kind that transport returns, and what is in it."""

import numpy as np

import numopt

COST = np.random.default_rng(0).random((4, 5))
X = np.linspace(0, 1, 5)[:, None]
TRANSPORT_RECORD = {"marginal_error", "reg", "nnz"}
COUNTS = ("nit_sinkhorn", "nit_newton", "nit_cg")
# What may be given by position besides arrays.
POSITIONAL = {
    "PointCloudCost": {"metric", "scale"},
}
SOLVES = {
    "TransportResult": lambda: numopt.entropic_transport(COST, reg=0.1),
    "TransportResult-not-solved": lambda: numopt.entropic_transport(COST, reg=0.1, maxiter=0),
    "TransportBatch": lambda: numopt.entropic_transport(COST[None], reg=0.1),
    "DivergenceResult": lambda: numopt.sinkhorn_divergence(X, X + 1, reg=0.1),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "TransportResult": TRANSPORT_RECORD,
    "TransportBatch": TRANSPORT_RECORD,
    "DivergenceResult": TRANSPORT_RECORD,
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "TransportResult": {float: ["marginal_error", "gap"], int: ["n_passes", *COUNTS, "nnz"]},
    "DivergenceResult": {float: ["marginal_error", "gap"], int: ["n_passes", *COUNTS]},
}
