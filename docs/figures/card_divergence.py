"""Where each point of one cloud should go to become the other."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(4)
angle = rng.uniform(0, np.pi, (2, 60))
noise = rng.normal(0, 0.05, (2, 60, 2))
X = np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=1) + noise[0]
Y = np.stack([1 - np.cos(angle[1]), 0.45 - np.sin(angle[1])], axis=1) + noise[1]
gradient, _ = numopt.sinkhorn_divergence(X, Y, reg=0.05).grad_points()
step = -0.5 * len(X) * gradient

figure, ax = plt.subplots(figsize=(4, 3))
ax.quiver(*X.T, *step.T, angles="xy", scale_units="xy", scale=1, color="0.75", width=0.004)
ax.scatter(*X.T, s=22, color="#3776ab")
ax.scatter(*Y.T, s=22, color="#e07b39")
ax.set_aspect("equal")
ax.axis("off")
