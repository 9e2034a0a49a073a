"""One result of every kind that constrained returns, and what is in it."""

import numpy as np

import numopt

# What may be given by position besides arrays.
POSITIONAL = {
    "minimize_equality": {"args"},
}
SOLVES = {
    "EqualityResult": lambda: numopt.minimize_equality(lambda x: x @ x, np.ones(2)),
}
# What the records of a history hold besides "nit" and "error".
RECORDS = {
    "EqualityResult": {"fun", "optimality", "infeasibility", "step", "rtol", "inner"}
    | {"primal_shift", "constraint_penalty", "gradient_penalty"},
}
# Numbers that must be Python's, besides those that all results have.
NUMBERS = {
    "EqualityResult": {float: ["optimality", "infeasibility"], int: ["ncev"]},
}
