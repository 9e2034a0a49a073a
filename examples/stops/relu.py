"""Convex training of ReLU networks."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def ionosphere(folder: Path) -> list[Row]:
    """Train networks that tell good radar returns from bad ones, with three losses."""
    data = np.load(DATA / "ionosphere.npz")
    X, y = data["pulses"] * 1e-5, np.where(data["good"], 1.0, -1.0)
    rows, results = [], {}
    for loss in ("squared", "logistic", "hinge"):
        result, seconds = timed(
            lambda loss=loss: numopt.convex_relu(
                X, y, beta=0.3, loss=loss, n_patterns=12, tol=1e-4, rng=0
            )
        )
        checks = relu_checks(X, y, 0.3, loss, result)
        rows.append(Row("convex_relu", f"radar returns, {loss} loss", "351 x 34", seconds, checks))
        results[loss] = result
    draw_ionosphere(folder / "ionosphere.png", results)
    return rows


def relu_checks(X, y, beta, loss, result) -> list[Check]:
    """Check a network: neurons in their cones, and the gap to a dual point that is feasible."""
    from scipy.optimize import nnls

    X = np.concatenate([X, np.ones((len(X), 1))], axis=1)
    active, theta = result.patterns.astype(float), result.dual
    slack = min(
        ((2 * active - 1) * (X @ coef)).min() for coef in (result.coef_pos, result.coef_neg)
    )
    z = np.maximum(X @ result.W1, 0) @ result.w2
    share = np.clip(theta * y, 1e-300, 1 - 1e-16)
    value, dual = {
        "squared": (0.5 * (z - y) @ (z - y), theta @ y - 0.5 * theta @ theta),
        "logistic": (
            np.logaddexp(0, -y * z).sum(),
            -(share * np.log(share) + (1 - share) * np.log1p(-share)).sum(),
        ),
        "hinge": (np.maximum(0, 1 - y * z).sum(), share.sum()),
    }[loss]
    value += 0.5 * beta * ((result.W1**2).sum() + (result.w2**2).sum())
    # How far theta pulls along a neuron of each pattern: the distance from the polar cone.
    pull = max(
        nnls(((2 * on - 1)[:, None] * X).T, sign * (X.T @ (on * theta)), maxiter=10_000)[1]
        for on in active.T
        for sign in (1, -1)
    )
    return [
        Check("outside", -min(slack, 0.0), 0.0),
        Check("pull", pull / beta - 1, 1e-7, low=-1.0),
        Check("gap", (value - dual) / value, 1.01e-4, low=-1e-12),
    ]


def draw_ionosphere(path, results):
    """Draw how both bounds of each problem close in."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for ax, (loss, result) in zip(axes, results.items(), strict=True):
        steps = [record["nit"] for record in result.history]
        for bound, label in (("fun", "upper bound"), ("dual_fun", "lower bound")):
            ax.semilogy(steps, [max(r[bound], 1e-3) for r in result.history], label=label)
        ax.set(title=f"{loss} loss", xlabel="iteration")
    axes[0].set_ylabel("objective")
    axes[0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
