"""Gradient descent on the Sinkhorn divergence moves one cloud onto another."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(4)
angle = rng.uniform(0, np.pi, (2, 150))
noise = rng.normal(0, 0.05, (2, 150, 2))
X = np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=1) + noise[0]
Y = np.stack([1 - np.cos(angle[1]), 0.45 - np.sin(angle[1])], axis=1) + noise[1]

figure, axes = plt.subplots(1, 4, figsize=(6.5, 1.3), sharex=True, sharey=True)
for number, ax in enumerate(axes):
    divergence = numopt.sinkhorn_divergence(X, Y, reg=0.02)
    ax.scatter(*Y.T, s=5, color="#e07b39")
    ax.scatter(*X.T, s=5, color="#3776ab")
    ax.set_title(f"step {number}: {divergence.fun:.3f}")
    ax.set(aspect="equal", xticks=[], yticks=[])
    X = X - 0.4 * len(X) * divergence.grad_points()[0]
