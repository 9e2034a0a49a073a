"""One result of every kind that sampling returns, and what is in it."""

import numpy as np

import numopt

A = np.random.default_rng(1).normal(size=(40, 3))
# What may be given by position besides arrays.
POSITIONAL = {
    "lp_regression": {"p"},
}
SOLVES = {
    "ScoresResult": lambda: numopt.lp_scores(A, 1),
    "ScoresResult-not-solved": lambda: numopt.lp_scores(A, 1, maxiter=1),
    "ScoresResult-bounds": lambda: numopt.lp_scores(A, 3, kind="sensitivity", bounds=True),
    "ScoresResult-total": lambda: numopt.total_sensitivity(A, 3, rng=0),
    "CoresetResult": lambda: numopt.lp_coreset(A, A[:, 0], 1, sample_size=9, rng=0),
    "CoresetResult-stream": lambda: numopt.StreamingCoreset(1, 9, rng=0).partial_fit(A).result(),
    "LpResult": lambda: numopt.lp_regression(A, np.arange(40.0)),
    "LpResult-smooth": lambda: numopt.lp_regression(A, np.arange(40.0), 1.5),
    "LpResult-coreset": lambda: numopt.lp_regression(
        A, np.arange(40.0), 2, method="coreset", rng=0
    ),
    "LpResult-not-solved": lambda: numopt.lp_regression(A, np.arange(40.0), maxiter=1),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "ScoresResult": set(),
    "CoresetResult": {"size"},
    "LpResult": {"fun"},
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "ScoresResult": {
        float: ["total", "stderr", "residual"],
        int: ["rank", "n_solves", "n_passes"],
    },
    "CoresetResult": {float: ["expected_size"], int: ["size", "n_passes"]},
    "LpResult": {float: ["norm", "gap", "dual_fun"], int: ["n_passes"]},
}
