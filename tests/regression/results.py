"""One result of every kind that regression returns, and what is in it."""

import numpy as np

import numopt

A = np.random.default_rng(1).normal(size=(40, 3))
SOLVES = {
    "LstsqResult": lambda: numopt.lstsq(A, A[:, 0]),
    "LstsqResult-sketched": lambda: numopt.lstsq(A, A[:, 0], method="sketch", sketch_size=8),
    "KronResult": lambda: numopt.kron_lstsq([A, A], np.ones((40, 40))),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "LstsqResult": {"backward_error", "forward_error", "residual_norm", "grad_norm"},
    "KronResult": set(),
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "LstsqResult": {
        float: ["residual_norm", "grad_norm", "backward_error", "forward_error", "cond_estimate"],
        int: ["n_passes", "sketch_size", "rank"],
    },
    "KronResult": {float: ["residual_norm", "backward_error"], int: ["sketch_size", "rank"]},
}
