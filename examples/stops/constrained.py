"""Constrained optimization."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.optimize import NonlinearConstraint

import numopt

from .common import TOL, Check, Row, timed


def control(folder: Path) -> list[Row]:
    """Heat a plate, whose temperature obeys a differential equation, until it shows a ring."""
    N, alpha = 40, 1e-6
    h, M = 1 / (N + 1), N * N
    second = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N))
    laplace = (sp.kron(second, sp.eye_array(N)) + sp.kron(sp.eye_array(N), second)).tocsr()
    t = np.linspace(h, 1 - h, N)
    distance = np.hypot(t[:, None] - 0.5, t - 0.5).ravel()
    target = np.exp(-(((distance - 0.28) / 0.09) ** 2))

    def gradient(x):
        return np.concatenate([x[:M] - target, alpha * x[M:]])

    def equation(x):
        return laplace @ x[:M] + h**2 * (x[:M] ** 3 - x[M:])

    def jacobian(x):
        left = laplace + sp.diags_array(3 * h**2 * x[:M] ** 2)
        return sp.hstack([left, -(h**2) * sp.eye_array(M)]).tocsr()

    def hessian(x, lam):
        return sp.diags_array(
            np.concatenate([1 + 6 * h**2 * x[:M] * lam, np.full(M, alpha)]), format="csc"
        )

    result, seconds = timed(
        lambda: numopt.minimize_equality(
            lambda x: 0.5 * np.sum((x[:M] - target) ** 2) + 0.5 * alpha * np.sum(x[M:] ** 2),
            np.zeros(2 * M),
            jac=gradient,
            lagrangian_hess=hessian,
            constraints=NonlinearConstraint(equation, 0.0, 0.0, jac=jacobian),
            tol=TOL,
        )
    )
    slope = gradient(result.x) + jacobian(result.x).T @ result.dual_vector()
    checks = [
        Check("equation", np.abs(equation(result.x)).max(), TOL),
        Check("gradient", np.abs(slope).max(), TOL),
    ]
    draw_control(folder / "control.png", target, result.x[:M], result.x[M:])
    size = f"{2 * M} x {M}"
    return [Row("minimize_equality", "heating of a plate", size, seconds, checks)]


def draw_control(path, target, state, heating):
    """Draw the temperature wanted, the one reached, and the heating that does it."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    side = round(target.size**0.5)
    panels = (
        (target, "wanted temperature", "inferno"),
        (state, "temperature", "inferno"),
        (heating, "heating", "RdBu_r"),
    )
    for ax, (values, title, cmap) in zip(axes, panels, strict=True):
        image = ax.imshow(values.reshape(side, side), cmap=cmap)
        figure.colorbar(image, ax=ax, shrink=0.8)
        ax.set_title(title)
        ax.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)
