"""One result of every kind that completion returns, and what is in it."""

import numpy as np

import numopt

LOW_RANK = np.outer(np.arange(1.0, 9), np.arange(2.0, 9))
COMPLETION_RECORD = {"seconds", "fun", "residual", "reg", "rank", "rmse"}
# What may be given by position besides arrays.
POSITIONAL = {
    "matrix_completion": {"rank"},
}
SOLVES = {
    "MatrixCompletionResult": lambda: numopt.matrix_completion(LOW_RANK, 1),
    "MatrixCompletionResult-certified": lambda: numopt.matrix_completion(
        LOW_RANK, 1, reg=1.0, certify=True
    ),
    "MatrixCompletionResult-not-solved": lambda: numopt.matrix_completion(
        LOW_RANK, 1, reg=1.0, maxiter=0
    ),
    "RankPathResult": lambda: numopt.rank_path(LOW_RANK, [1], rng=0),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "MatrixCompletionResult": COMPLETION_RECORD,
    "RankPathResult": COMPLETION_RECORD,
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "MatrixCompletionResult": {
        float: ["mu", "residual", "gradient", "oversampling", "share", "inner_iterations"],
        int: ["rank"],
    },
    "RankPathResult": {float: [], int: ["rank"]},
}
