"""Errors of the coefficients of polynomial fits as the condition number grows."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

t = np.arange(33) / 16  # up to degree 10 all powers, and their sums, are exact in float64
solvers = {
    "#e07b39": lambda A, b: np.linalg.solve(A.T @ A, A.T @ b),
    "0.5": lambda A, b: np.linalg.lstsq(A, b, rcond=1e-18)[0],
    "#3776ab": lambda A, b: numopt.lstsq(A, b, precision="extended").x,
}
figure, ax = plt.subplots(figsize=(4, 3))
for color, solve in solvers.items():
    errors = []
    for degree in range(1, 11):
        A = np.vander(t, degree + 1)
        x = solve(A, A.sum(axis=1))
        errors.append(np.clip(abs(x - 1).max(), 1e-17, 1))
    ax.semilogy(range(1, 11), errors, "o-", color=color, linewidth=3)
ax.axis("off")
