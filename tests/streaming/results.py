"""One result of every kind that streaming returns, and what is in it."""

import numpy as np

import numopt

A = np.random.default_rng(1).normal(size=(900, 20)) * np.array([9.0] + [1.0] * 19)
# What may be given by position besides arrays.
POSITIONAL = {
    "top_eigenvector": {"rank"},
}
SOLVES = {
    "EigenvectorResult": lambda: numopt.top_eigenvector(A, rng=0),
    "EigenvectorResult-not-solved": lambda: numopt.top_eigenvector(
        np.random.default_rng(0).normal(size=(900, 20)), rng=0
    ),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "EigenvectorResult": {"n_rows", "method_used"},
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "EigenvectorResult": {
        float: [
            *("frobenius2", "sin2_bound", "sin2_estimate", "residual2", "residual2_stderr"),
            *("order_pvalue", "gap_estimate"),
        ],
        int: ["n_rows", "n_heavy", "n_heavy_overflow", "memory_rows_used"],
    },
}
