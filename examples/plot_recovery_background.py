"""
Who walks through the hall?
===========================

A camera that does not move sees the same hall in every frame, and now and then somebody walks by.
With one frame in each column of a matrix, the hall is a matrix of rank one, and the walker is what
does not fit: large errors in a few entries of every column, in other places all the time.
:func:`~numopt.robust_pca` splits one from the other.

The film, every fourth frame of it, is from the repository `dlaptev/RobustPCA` (MIT license). It is
in ``examples/data/hall.npz`` of the repository; run the example from the folder ``examples``.
"""

# %%
# Two pictures from each frame
# ----------------------------
#
# Pixels are noisy, so that none is met exactly: ``noise=True``. The rank is 1, one hall.

# sphinx_gallery_thumbnail_number = 1
import time

import matplotlib.pyplot as plt
import numpy as np

import numopt

with np.load("data/hall.npz") as film:
    frames = film["frames"].astype(float)
count, height, width = frames.shape
M = frames.reshape(count, -1).T
numopt.robust_pca(M, 1, noise=True, rng=0)  # the first call may compile
begin = time.perf_counter()
result = numopt.robust_pca(M, 1, noise=True, rng=0)
print(f"{M.shape[0]} pixels, {M.shape[1]} frames: {time.perf_counter() - begin:.2f} s")
print(result.message)

shown = (5, 15, 22, 32)
hall, walker = result.matrix(), result.sparse
figure, axes = plt.subplots(3, 4, figsize=(8, 4.2), layout="constrained")
for k, at in enumerate(shown):
    for ax, column, limits in (
        (axes[0, k], M[:, at], (0, 255)),
        (axes[1, k], hall[:, at], (0, 255)),
        (axes[2, k], -abs(walker[:, at]), (-120, 0)),
    ):
        ax.imshow(column.reshape(height, width), cmap="gray", vmin=limits[0], vmax=limits[1])
        ax.set(xticks=[], yticks=[])
for ax, name in zip(axes[:, 0], ("film", "hall", "walker"), strict=True):
    ax.set_ylabel(name)

# %%
# What an average makes of it
# ---------------------------
#
# The best matrix of rank one in the sense of least squares is the first singular pair. It takes
# every walker for a bit of the hall: where somebody often stands, there is a ghost. The subtraction
# then shows ghosts in frames where nobody is.

U, s, V = np.linalg.svd(M, full_matrices=False)
average = s[0] * np.outer(U[:, 0], V[0])
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
for ax, background, name in (
    (axes[0], average, "least squares"),
    (axes[1], hall, "robust"),
):
    error = abs(background - np.median(M, axis=1)[:, None])[:, 22]
    ax.imshow(-error.reshape(height, width), cmap="gray", vmin=-25, vmax=0)
    ax.set(xticks=[], yticks=[], title=f"{name}: difference from the median frame")

# %%
# How much of the picture moves
# -----------------------------
#
# Outliers are entries beyond six robust standard deviations. Their share tells when somebody
# passes.

share = result.outlier_mask.mean(axis=0)
figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.fill_between(np.arange(count), 100 * share, color=numopt.plotting.SOURCE, alpha=0.6)
ax.set(xlabel="frame", ylabel="% of the pixels", ylim=(0, None), xlim=(0, count - 1))

# %%
# Where the split is exact
# ------------------------
#
# Without noise the two parts can be told apart to the last digit, and the result says so. Here
# every frame is made of the hall alone, under light that changes, and a quarter of the pixels is
# set to white: errors of one sign, which pull any average up.

rng = np.random.default_rng(0)
light = np.outer(np.median(M, axis=1), 1 + 0.3 * np.sin(np.arange(count) / 6))
broken = rng.random(light.shape) < 0.25
exact = numopt.robust_pca(np.where(broken, 400.0, light), 3, rng=0)
print(exact.message)
print(f"largest error of the hall: {abs(exact.matrix() - light).max():.1e} gray levels")
print(f"broken pixels found: {np.array_equal(exact.outlier_mask, broken)}")

figure, axes = plt.subplots(1, 3, figsize=(8, 1.9), layout="constrained")
columns = {"seen": np.where(broken, 400.0, light), "found": exact.matrix(), "true": light}
for ax, (name, matrix) in zip(axes, columns.items(), strict=True):
    ax.imshow(matrix[:, 10].reshape(height, width), cmap="gray", vmin=0, vmax=300)
    ax.set(xticks=[], yticks=[], title=name)
