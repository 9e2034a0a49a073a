"""Regression in the p-norm."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def regression_checks(A, b, loss, norm, dual_norm, result) -> list[Check]:
    """Return the gap of a fit from its dual variables, and how far these are from feasible.

    For any y with A'y = 0 no fit can have a norm below b'y over the dual norm of y.
    """
    y, residual = result.dual, b - A @ result.x
    infeasible = abs(A.T @ y).max() / (abs(A).T @ abs(y)).max()
    return [
        Check("gap", 1 - (y @ b) / dual_norm(y) / norm(residual), 2e-9, low=-1e-12),
        Check("infeasible", infeasible, 1e-10),
        Check("loss", abs(result.fun / loss(residual) - 1), 1e-12),
    ]


def rings(folder: Path) -> list[Row]:
    """Tell the age of abalones from their size: quantiles, and a fit of the largest residuals."""
    abalone = np.load(DATA / "abalone.npz")
    length, whole, shell, age = (abalone[name].astype(float) for name in abalone.files)
    A = np.column_stack([np.ones(len(age)), length / 100, whole / 1e4, shell / 1e4])
    size, rows, fits = f"{A.shape[0]} x {A.shape[1]}", [], {}
    for level in (0.1, 0.5, 0.9):
        result, seconds = timed(lambda level=level: numopt.lp_regression(A, age, quantile=level))

        def loss(r, level=level):
            return np.maximum(level * r, (level - 1) * r).sum()

        def dual_norm(y, level=level):
            return np.maximum(y / level, y / (level - 1)).max()

        checks = regression_checks(A, age, loss, loss, dual_norm, result)
        rows.append(Row("lp_regression", f"rings, quantile {level:g}", size, seconds, checks))
        fits[level] = A @ result.x
    result, seconds = timed(lambda: numopt.lp_regression(A, age, 4))
    checks = regression_checks(
        A,
        age,
        lambda r: (r**4).sum(),
        lambda r: (r**4).sum() ** 0.25,
        lambda y: (abs(y) ** (4 / 3)).sum() ** 0.75,
        result,
    )
    rows.append(Row("lp_regression", "rings, p = 4", size, seconds, checks))
    rows.append(coreset_row(A, age, size))
    draw_rings(folder / "rings.png", age, fits)
    return rows


def coreset_row(A, b, size) -> Row:
    """Fit to a tenth of the rows, and check what that costs on all of them."""
    result, seconds = timed(lambda: numopt.lp_coreset(A, b, 1, sample_size=len(b) // 10, rng=0))
    x = numopt.lp_regression(result.A, result.b, weights=result.weights).x
    best = abs(b - A @ numopt.lp_regression(A, b).x).sum()
    checks = [
        Check("excess", abs(b - A @ x).sum() / best - 1, 0.02, low=-1e-9),
        Check("rows", result.size / len(b), 0.12),
    ]
    return Row("lp_coreset", "rings, a tenth of the rows", size, seconds, checks)


def draw_rings(path, age, fits):
    """Draw predicted quantiles of the age against the age."""
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    order = np.argsort(fits[0.5])
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, size=len(age))
    place = np.arange(len(age))
    ax.plot(place, age[order] + jitter, ".", color="0.7", markersize=2)
    colors = (numopt.plotting.TARGET, numopt.plotting.SOURCE, "#009e73")
    for (level, values), color in zip(fits.items(), colors, strict=True):
        share = np.mean(age < values)
        label = f"quantile {level:g}: {share:.0%} lie below"
        ax.plot(place, values[order], ".", color=color, markersize=1.5)
        ax.plot([], [], color=color, label=label)
    ax.set(xlabel="abalones, by the median that is predicted", ylabel="rings")
    ax.legend(loc="upper left")
    ax.set_title("Quantiles of the number of rings, from length and weights")
    figure.savefig(path, dpi=110)
    plt.close(figure)
