"""Matrix completion."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def metro(folder: Path) -> list[Row]:
    """Fill in lost counts of a metro; prove a second completion to be the convex minimum."""
    flow = np.load(DATA / "metro.npz")["flow"].astype(float)
    table = flow.reshape(-1, flow.shape[2])
    lost = np.random.default_rng(0).random(table.shape) < 0.4
    seen = np.where(lost, np.nan, table)
    rows = []
    stops = ("metro counts, 40 % lost", 10, 300.0), ("the same, proved", 40, 1e3)
    for problem, rank, reg in stops:
        result, seconds = timed(
            lambda rank=rank, reg=reg: numopt.matrix_completion(
                seen, rank, reg=reg, tol=1e-7, rng=0
            )
        )
        checks = completion_checks(table, lost, reg, result)
        checks = checks[: 2 + len(rows)]  # the rank of the first binds: it has no gap to close
        rows.append(Row("matrix_completion", problem, "560 x 108", seconds, checks))
        if not rows[1:]:
            draw_metro(folder / "metro.png", table, seen, result.X @ result.Y.T)
    return rows


def completion_checks(table, lost, reg, result) -> list[Check]:
    """Check a completion: its gradient, the counts it never saw, and the gap to a dual point."""
    X, Y = result.X, result.Y
    residual = np.where(lost, 0.0, table - X @ Y.T)
    values = np.where(lost, 0.0, table)
    slope = np.hypot(
        np.linalg.norm(residual @ Y - reg * X), np.linalg.norm(residual.T @ X - reg * Y)
    )
    size = np.linalg.norm(values) * (np.linalg.norm(X) + np.linalg.norm(Y))
    error = np.linalg.norm((X @ Y.T - table)[lost]) / np.linalg.norm(table[lost])
    dual = min(1.0, reg / np.linalg.norm(residual, 2)) * residual
    primal = 0.5 * (residual**2).sum() + 0.5 * reg * ((X**2).sum() + (Y**2).sum())
    gap = primal - (dual * values).sum() + 0.5 * (dual**2).sum()
    return [
        Check("gradient", 2 * slope / size, 1e-6),
        Check("lost", error, 0.2),
        Check("gap", gap / primal, 1e-5, low=-1e-12),
    ]


def draw_metro(path, table, seen, filled):
    """Draw the counts of the busiest station-days, what is left of them, and the completion."""
    busy = np.argsort(-table.max(axis=1))[:140]
    figure, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
    pictures = {"what was counted": table, "what is left": seen, "filled in": filled}
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        shown = np.sqrt(np.clip(picture[busy], 0, None))
        ax.imshow(shown, aspect="auto", vmin=0, vmax=40, extent=(6, 24, 140, 0))
        ax.set(title=title, xlabel="hour")
    axes[0].set_ylabel("days at metro stations")
    figure.savefig(path, dpi=110)
    plt.close(figure)
