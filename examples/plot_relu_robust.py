"""
Networks that withstand perturbations
=====================================

An attacker may change every feature a little. A network trained as usual can be right on all
samples and wrong next to them. Asking for robustness keeps the training problem convex, and the
answer comes with a share of samples that are *proved* safe.
"""

# %%
# What an attack does
# -------------------
#
# Forty samples with two hundred features, of which three matter.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 200))
y = np.where(X[:, 0] + X[:, 1] * (X[:, 2] > 0) > 0, 1.0, -1.0)
options = {"beta": 0.5, "loss": "hinge", "n_patterns": 8, "rng": 0}
clean = numopt.convex_relu(X, y, **options)
robust = numopt.convex_relu(X, y, eps=0.2, tol=2e-2, maxiter=250, **options)


def accuracy_under_attack(result, eps):
    """Return the share of samples whose label an attack does not change."""
    moved = numopt.network_attack(result.W1, result.w2, X, y, eps=eps, restarts=2, rng=0)
    return np.mean(y * result.predict(moved) > 0)


radii = np.linspace(0, 0.6, 9)
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for label, result in (("trained as usual", clean), ("trained for 0.2", robust)):
    ax.plot(radii, [accuracy_under_attack(result, eps) for eps in radii], marker="o", label=label)
ax.axvline(0.2, color="0.6", linewidth=0.8)
ax.plot(0.2, robust.stats["certified"], "k*", markersize=12, label="proved for 0.2")
ax.set(xlabel="radius of the perturbation", ylabel="accuracy under attack")
_ = ax.legend()

# %%
# Where the margins are
# ---------------------
#
# The margin of a sample is positive if its label is right. The worst margin that the program
# guarantees is never above what an attack finds.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for ax, result, title in zip(axes, (clean, robust), ("as usual", "for 0.2"), strict=True):
    moved = numopt.network_attack(result.W1, result.w2, X, y, eps=0.2, restarts=2, rng=0)
    before, after = y * result.predict(X), y * result.predict(moved)
    order = np.argsort(after)
    ax.plot(before[order], ".", label="without attack")
    ax.plot(after[order], ".", label="under attack")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="sample", title=title)
axes[0].set_ylabel("margin")
_ = axes[0].legend()

# %%
# Patterns that do not survive
# ----------------------------
#
# Every neuron must stay on for the same samples under all perturbations. With two features some
# sample is close to every line through the cloud, and no pattern survives: the solver says so.

plane = X[:, :2] + 0.0
result = numopt.convex_relu(plane, y, eps=0.5, fit_intercept=False, **options)
print(result.message)

figure, ax = plt.subplots(figsize=(3.4, 3.2), layout="constrained")
for label, color in ((1, numopt.plotting.SOURCE), (-1, numopt.plotting.TARGET)):
    ax.scatter(*plane[y == label].T, s=30, marker="s", alpha=0.5, color=color)
_ = ax.set(aspect="equal", title="no line keeps clear of all")

# %%
# ``robust="lipschitz"`` bounds the margins in another way, which rules out nothing and promises
# less.
#
# What changes in the network
# ---------------------------
#
# A perturbation of all features moves a linear model by the sum of its weights' sizes. The robust
# network has fewer large weights, and spends them on features that matter.

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for label, network in (("trained as usual", clean), ("trained for 0.2", robust)):
    size = np.abs(network.W1[:-1]) @ np.abs(network.w2)
    ax.semilogy(np.sort(size)[::-1] + 1e-6, label=label)
ax.set(xlabel="features, by influence", ylabel="influence")
_ = ax.legend()
result = clean
