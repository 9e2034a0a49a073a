"""Two spirals and the network that separates them."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
t = np.sqrt(rng.random(80)) * 3.5
arm = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 3.5
X = np.concatenate([arm, -arm]) + 0.03 * rng.normal(size=(160, 2))
y = np.repeat([1.0, -1.0], 80)
result = numopt.convex_relu(X, y, beta=3e-3, loss="hinge", n_patterns=60, tol=1e-4, rng=0)

side = np.linspace(-1.2, 1.2, 160)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
z = result.predict(grid).reshape(160, 160)
figure, ax = plt.subplots(figsize=(4.2, 4), layout="constrained")
ax.contourf(side, side, z, levels=[-1e9, 0, 1e9], colors=["tab:orange", "tab:blue"], alpha=0.25)
ax.contour(side, side, z, levels=[-1, 0, 1], colors="0.3", linewidths=[0.6, 1.4, 0.6])
for label, color in ((1, numopt.plotting.SOURCE), (-1, numopt.plotting.TARGET)):
    ax.scatter(*X[y == label].T, s=12, color=color)
ax.set(aspect="equal", xticks=[], yticks=[])
