"""
The convex program behind a network
===================================

Training a ReLU network is not convex: run it twice and get two networks. Once it is fixed which
samples each hidden unit is on for, it is convex, and the best network can be computed with a
proof. On a plane one can see what that means.
"""

# %%
# Units and patterns
# ------------------
#
# Two classes of points that no line separates. A hidden unit is on for the points on one side of
# a line; its *pattern* is that set of points. All lines that split the points in the same way
# share it.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
t = np.sqrt(rng.random(60)) * 3.2
arm = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 3.2
X = np.concatenate([arm, -arm]) + 0.03 * rng.normal(size=(120, 2))
y = np.repeat([1.0, -1.0], 60)


def draw_points(ax):
    """Draw the points of both classes."""
    for label, color in ((1, numopt.plotting.SOURCE), (-1, numopt.plotting.TARGET)):
        ax.scatter(*X[y == label].T, s=12, color=color, zorder=3)
    ax.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), xticks=[], yticks=[])


gates = rng.normal(size=(3, 6))
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2), layout="constrained")
for ax, gate in zip(axes, gates.T, strict=True):
    on = X @ gate[:2] + gate[2] >= 0
    ax.scatter(*X[on].T, s=9, color="black")
    ax.scatter(*X[~on].T, s=9, color="0.8")
    ax.set(aspect="equal", xticks=[], yticks=[], title=f"{on.sum()} on")

# %%
# More patterns, better networks
# ------------------------------
#
# With each sample of patterns the program has an optimum, and the solver encloses it. Whatever the
# number, ``gap`` says how far the network is from the best one *under these patterns*.

side = np.linspace(-1.2, 1.2, 120)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for ax, count in zip(axes, (5, 20, 80), strict=True):
    result = numopt.convex_relu(X, y, beta=3e-3, loss="hinge", n_patterns=count, tol=1e-4, rng=1)
    z = result.predict(grid).reshape(120, 120)
    ax.contourf(
        side, side, np.sign(z), levels=[-2, 0, 2], colors=["tab:orange", "tab:blue"], alpha=0.25
    )
    ax.contour(side, side, z, levels=[0], colors="0.3")
    draw_points(ax)
    ax.set_title(f"{result.gates.shape[1]} patterns: {result.fun:.3f}, gap {result.gap:.0e}")

# %%
# The two bounds
# --------------
#
# Upper and lower bound close in on the optimum. Neither ever crosses it, so one may stop at any
# time and knows what one has.

history = result.history
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.semilogy([h["nit"] for h in history], [h["fun"] for h in history], label="upper bound")
ax.semilogy(
    [h["nit"] for h in history], [max(h["dual_fun"], 1e-4) for h in history], label="lower bound"
)
ax.set(xlabel="iteration", ylabel="objective")
_ = ax.legend()

# %%
# The same by gradient descent
# ----------------------------
#
# Gradient descent on the same objective, with as many units and from ten starts, ends at ten
# values, and cannot say which of them, if any, is good.


def descend(seed, steps=1500, rate=0.02):
    """Return the objective along the way of Adam from a random start."""
    draw = np.random.default_rng(seed)
    Z = np.concatenate([X, np.ones((120, 1))], axis=1)
    m = result.W1.shape[1]
    U, a = 0.3 * draw.normal(size=(3, m)), 0.3 * draw.normal(size=m)
    values, first, second = [], [0.0, 0.0], [0.0, 0.0]
    for k in range(1, steps + 1):
        hidden = Z @ U
        z = np.maximum(hidden, 0) @ a
        values.append(np.maximum(0, 1 - y * z).sum() + 1.5e-3 * ((U**2).sum() + (a**2).sum()))
        slope = -y * (y * z < 1)
        slopes = (
            Z.T @ (np.outer(slope, a) * (hidden > 0)) + 3e-3 * U,
            np.maximum(hidden, 0).T @ slope + 3e-3 * a,
        )
        moves = []
        for j, g in enumerate(slopes):  # Adam
            first[j] = 0.9 * first[j] + 0.1 * g
            second[j] = 0.999 * second[j] + 0.001 * g**2
            moves.append(first[j] / (1 - 0.9**k) / (np.sqrt(second[j] / (1 - 0.999**k)) + 1e-8))
        U, a = U - rate * moves[0], a - rate * moves[1]
    return values


figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for seed in range(10):
    ax.semilogy(descend(seed), color="0.6", linewidth=0.7)
ax.axhline(result.fun, color=numopt.plotting.SOURCE, label="convex program")
ax.set(xlabel="step of Adam", ylabel="objective")
_ = ax.legend()
