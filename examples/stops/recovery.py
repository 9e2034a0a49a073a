"""Robust low-rank recovery."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def hall(folder: Path) -> list[Row]:
    """Take people out of a film, and broken pixels out of a hall under changing light."""
    frames = np.load(DATA / "hall.npz")["frames"].astype(float)
    M = frames.reshape(len(frames), -1).T
    size = f"{M.shape[0]} x {M.shape[1]}"
    film, seconds = timed(lambda: numopt.robust_pca(M, 1, noise=True, rng=0))
    still = np.median(abs(film.L @ film.R.T - np.median(M, axis=1)[:, None]))
    rest = np.where(film.outlier_mask, 0, M - film.L @ film.R.T - film.sparse)
    checks = [
        Check("gray levels off the median", still, 2.0),
        Check("rest", abs(rest).max() / film.sigma, 6.0),
        Check("moving", film.outlier_fraction, 0.15, low=0.05),
    ]
    rows = [Row("robust_pca", "people in a hall", size, seconds, checks)]
    rng = np.random.default_rng(0)
    light = np.outer(np.median(M, axis=1), 1 + 0.3 * np.sin(np.arange(len(frames)) / 6))
    broken = rng.random(light.shape) < 0.25
    seen = np.where(broken, 400.0, light)
    result, seconds = timed(lambda: numopt.robust_pca(seen, 3, rng=0))
    checks = [
        Check("error", abs(result.L @ result.R.T - light).max() / light.max(), 1e-6),
        Check("pixels taken wrongly", float(np.sum(result.outlier_mask != broken)), 0.0),
        Check("rank", result.rank, 1.0, low=1.0),
    ]
    rows.append(Row("robust_pca", "a quarter of the pixels broken", size, seconds, checks))
    rows.append(sensing_row())
    draw_hall(folder / "hall.png", frames, film)
    return rows


def sensing_row() -> Row:
    """Recover a matrix from random measurements of which four in ten are wrong."""
    rng = np.random.default_rng(1)
    U = rng.normal(size=(24, 3))
    A = rng.normal(size=(1440, 24, 24))
    y = np.einsum("mij,ij->m", A, U @ U.T)
    wrong = rng.random(y.size) < 0.4
    y[wrong] += 300 * rng.normal(size=wrong.sum())
    solve = numopt.robust_low_rank_recovery
    result, seconds = timed(lambda: solve(A, y, rng=0))
    agree = abs(np.einsum("mij,ij->m", A, result.U @ result.U.T) - y) < 1e-6
    checks = [
        Check("error", abs(result.U @ result.U.T - U @ U.T).max(), 1e-9),
        Check("unknowns an agreement", 3 * (2 * 24 - 2) / 2 / agree.sum(), 1 / 1.5),
    ]
    return Row(
        "robust_low_rank_recovery", "40 % of measurements wrong", "1440 x 576", seconds, checks
    )


def draw_hall(path, frames, result):
    """Draw frames, what stays in them and what moves."""
    shown, (_, height, width) = (5, 15, 22, 32), frames.shape
    figure, axes = plt.subplots(3, 4, figsize=(9, 4.8), layout="constrained")
    still, moving = result.matrix(), -abs(result.sparse)
    for k, at in enumerate(shown):
        parts = (frames[at].ravel(), 0), (still[:, at], 0), (moving[:, at], -120)
        for ax, (column, low) in zip(axes[:, k], parts, strict=True):
            high = 255 if low == 0 else 0
            ax.imshow(column.reshape(height, width), cmap="gray", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
    for ax, name in zip(axes[:, 0], ("film", "hall", "people"), strict=True):
        ax.set_ylabel(name)
    figure.savefig(path, dpi=110)
    plt.close(figure)
