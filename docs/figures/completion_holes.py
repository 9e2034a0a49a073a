"""A matrix of rank six, a quarter of it, and what it is completed to."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

t = np.linspace(-1, 1, 160)
waves = [np.cos(np.outer(t, [3, 5, 8])), np.sin(np.outer(t, [2, 6, 9]))]
left, right = np.hstack(waves), np.hstack(waves[::-1]) * [1, 0.8, 0.6, 0.5, 0.4, 0.3]
M = left @ right.T
mask = np.random.default_rng(0).random(M.shape) < 0.25
result = numopt.matrix_completion(M, 6, mask=mask, rng=0, tol=1e-8)

figure, axes = plt.subplots(1, 3, figsize=(6.6, 2.4), layout="constrained")
shown = {"a table": M, "a quarter of it": np.where(mask, M, np.nan), "completed": result.matrix()}
for ax, (title, picture) in zip(axes, shown.items(), strict=True):
    ax.imshow(picture, cmap="viridis", vmin=M.min(), vmax=M.max())
    ax.set_title(title, fontsize=10)
    ax.set_axis_off()
