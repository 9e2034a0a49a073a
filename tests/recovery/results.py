"""One result of every kind that recovery returns, and what is in it."""

import numpy as np

import numopt

COST = np.random.default_rng(0).random((4, 5))
SENSED = np.random.default_rng(1).normal(size=(40, 3, 3))
SOLVES = {
    "RecoveryResult": lambda: numopt.robust_low_rank_recovery(SENSED, 2 * SENSED[:, 0, 0]),
    "RecoveryResult-zero": lambda: numopt.robust_low_rank_recovery(SENSED, np.zeros(40)),
    "RobustPCAResult": lambda: numopt.robust_pca(np.outer(COST[0], COST[1]), 1),
    "RobustPCAResult-not-solved": lambda: numopt.robust_pca(COST, 2, maxiter=1),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "RecoveryResult": {"fun", "scale", "rank", "seconds"},
    "RobustPCAResult": {"scale", "rank"},
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "RecoveryResult": {
        float: ["sigma", "outlier_fraction", "consensus", "intercept", "step_final", "q"],
        int: ["rank", "n_inliers"],
    },
    "RobustPCAResult": {
        float: ["sigma", "outlier_fraction", "consensus", "q"],
        int: ["rank", "n_inliers"],
    },
}
