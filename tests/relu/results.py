"""One result of every kind that relu returns, and what is in it."""

import numpy as np

import numopt

Z = np.random.default_rng(1).normal(size=(20, 2))
SOLVES = {
    "ConvexReLUResult": lambda: numopt.convex_relu(Z, abs(Z[:, 0]), beta=0.1, rng=0),
    "ConvexReLUResult-not-solved": lambda: numopt.convex_relu(
        Z, abs(Z[:, 0]), beta=0.1, maxiter=0, rng=0
    ),
    "SampledReLUResult": lambda: numopt.convex_relu_scp(
        Z, abs(Z[:, 0]), beta=0.1, n_hidden=30, rng=0
    ),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "ConvexReLUResult": {"fun", "dual_fun", "infeasibility", "output"},
    "SampledReLUResult": {"fun", "dual_fun"},
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "ConvexReLUResult": {
        float: ["gap", "dual_fun", "infeasibility", "net_fun", "beta"],
        int: ["n_factorizations", "n_passes", "n_blocks", "n_retries"],
    },
    "SampledReLUResult": {
        float: ["gap", "dual_fun", "net_fun", "beta"],
        int: ["n_factorizations"],
    },
}
