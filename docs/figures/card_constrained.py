"""Iterates that walk along a circle to the lowest point on it."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import NonlinearConstraint

import numopt


def slope(x):
    """Return the gradient of the valley."""
    gap = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 20 * x[0] * gap, 10 * gap])


path = []
numopt.minimize_equality(
    lambda x: (1 - x[0]) ** 2 + 5 * (x[1] - x[0] ** 2) ** 2,
    np.array([1.9, -0.6]),
    jac=slope,
    constraints=NonlinearConstraint(lambda x: x @ x, 2.25, 2.25, jac=lambda x: 2 * x),
    callback=lambda intermediate_result: path.append(intermediate_result.x),
)

x, y = np.meshgrid(np.linspace(-2.2, 2.2, 200), np.linspace(-1.7, 1.7, 200))
height = np.log10((1 - x) ** 2 + 5 * (y - x**2) ** 2 + 1e-2)
angle = np.linspace(0, 2 * np.pi, 200)
figure, ax = plt.subplots(figsize=(4, 3))
ax.contourf(x, y, height, levels=20, cmap="Greys_r", alpha=0.6)
ax.plot(1.5 * np.cos(angle), 1.5 * np.sin(angle), color="#3776ab", linewidth=2)
ax.plot(*np.transpose(path), "o-", color="#e07b39", markersize=4)
ax.plot(*path[-1], "*", color="#e07b39", markersize=14)
ax.set_aspect("equal")
ax.axis("off")
