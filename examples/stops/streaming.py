"""Top eigenvector of a stream."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def patches(folder: Path) -> list[Row]:
    """Find what patches of photographs have in common, reading them once."""
    with np.load(DATA / "photographs.npz") as data:
        pictures = [data[name].astype(float) for name in ("coffee", "launch")]
    windows = [
        np.lib.stride_tricks.sliding_window_view(picture, (8, 8), axis=(0, 1))
        for picture in pictures
    ]
    rows, drawn = [], []
    for name, A in (
        ("patches of a photograph, in order", windows[0].mean(axis=2).reshape(-1, 64)),
        ("patches of two, each color", np.concatenate([w.reshape(-1, 64) for w in windows])),
    ):
        options = {"rng": 0, "memory_rows": 32, "tol": 0.02}
        result, seconds = timed(lambda A=A, options=options: streamed(A, options))
        rows.append(
            Row("top_eigenvector", name, f"{A.shape[0]} x 64", seconds, stream_checks(A, result))
        )
        drawn.append((A, result))
    draw_patches(folder / "patches.png", drawn)
    return rows


def streamed(A, options):
    """Read rows through a generator that yields them in ragged chunks, and only once."""
    edges = np.cumsum(np.random.default_rng(0).integers(1, 700, size=len(A) // 200))
    return numopt.top_eigenvector(iter(np.split(A, edges[edges < len(A)])), **options)


def stream_checks(A, result) -> list[Check]:
    """Check a vector and its certificate against all eigenvalues of the Gram matrix."""
    values, vectors = np.linalg.eigh(A.T @ A)
    low, high = result.lambda1_bounds
    outside = max(low - values[-1], values[-1] - high, 0.0) / values[-1]
    apart = result.x - vectors[:, -1] * (vectors[:, -1] @ result.x)
    return [
        Check("sin2", apart @ apart, min(1e-6, result.sin2_bound + 1e-14)),
        Check("bound", result.sin2_bound, 0.02),
        Check("outside", outside, 1e-12),
        Check("length", abs(np.linalg.norm(result.x) - 1), 1e-12),
    ]


def draw_patches(path, drawn):
    """Draw the vectors, and how much of a patch each of the exact ones explains."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for ax, (_, result), title in zip(axes, drawn, ("in order", "two, each color"), strict=False):
        picture = ax.imshow(result.x.reshape(8, 8), cmap="gray")
        figure.colorbar(picture, ax=ax, shrink=0.8)
        ax.set(title=title, xticks=[], yticks=[])
    for (A, result), color in zip(drawn, ("#3776ab", "#e07b39"), strict=True):
        values = np.linalg.eigvalsh(A.T @ A)[::-1]
        axes[2].semilogy(np.arange(1, 13), values[:12], "o-", color=color, markersize=4)
        axes[2].axhspan(*result.lambda1_bounds, color=color, alpha=0.3)
    axes[2].set(xlabel="eigenvalue", title="eigenvalues, and bounds of the first")
    axes[2].xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
