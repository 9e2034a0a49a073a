"""
How old is an abalone?
======================

The age of an abalone is the number of rings in its shell, counted under a microscope. Its size is
easier to have. Least squares predicts the *average* age for a size, which a few very old ones pull
up; here are the median, the whole range, and what a regression in other powers fits.

The data are from the UCI repository (Nash and others, CC BY 4.0). They are in
``examples/data/abalone.npz`` of the repository; run the example from the folder ``examples``.
"""

# %%
# Mean and median
# ---------------
#
# The median minimizes the sum of absolute deviations, that is ``p=1``. Half of the abalones are
# older than it predicts, whatever the errors look like.

# sphinx_gallery_thumbnail_number = 2
import time

import matplotlib.pyplot as plt
import numpy as np

import numopt

with np.load("data/abalone.npz") as table:
    length, rings = table["length"].astype(float), table["rings"].astype(float)
A = np.column_stack([np.ones(length.size), length / 100])
mean = numopt.lp_regression(A, rings, 2)
median = numopt.lp_regression(A, rings, 1)
for name, result in (("mean", mean), ("median", median)):
    older = np.mean(rings > A @ result.x)
    print(f"{name:6} {result.x[0]:.2f} + {result.x[1]:.2f} per 100 mm; {older:.0%} are older")

grid = np.column_stack([np.ones(50), np.linspace(0.15, 1.6, 50)])
jitter = np.random.default_rng(0).uniform(-0.4, 0.4, size=rings.size)
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(length, rings + jitter, ".", color="0.8", markersize=2)
ax.plot(100 * grid[:, 1], grid @ mean.x, color=numopt.plotting.TARGET, label="mean")
ax.plot(100 * grid[:, 1], grid @ median.x, color=numopt.plotting.SOURCE, label="median")
ax.set(xlabel="length, mm", ylabel="rings")
_ = ax.legend()

# %%
# The whole range
# ---------------
#
# Other quantiles tilt the absolute value: nine tenths of the abalones are younger than the line
# at 0.9. The lines spread, because large animals differ more in age than small ones do. That is a
# finding, and no least squares fit shows it.

levels = (0.05, 0.25, 0.5, 0.75, 0.95)
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(length, rings + jitter, ".", color="0.8", markersize=2)
fit = None
for level, color in zip(levels, plt.cm.viridis(np.linspace(0, 0.9, 5)), strict=True):
    fit = numopt.lp_regression(A, rings, quantile=level, x0=fit)
    error = fit.standard_errors()[1]
    print(f"quantile {level:.2f}: slope {fit.x[1]:5.2f} +- {error:.2f}, {fit.message}")
    ax.plot(100 * grid[:, 1], grid @ fit.x, color=color, label=f"{level:g}")
ax.set(xlabel="length, mm", ylabel="rings")
_ = ax.legend(title="quantile")

# %%
# Why the answer can be trusted
# -----------------------------
#
# Counts of rings are whole numbers, and lengths come in steps of a millimeter: hundreds of
# residuals are equal, and many lines are almost as good as the best. An iteration that stops where
# nothing changes any more cannot know how close it is. Here a second vector can tell. For any y
# between -1 and 1 with ``A.T @ y = 0``, no line has a smaller sum of absolute deviations than
# ``y @ rings``.

y = median.dual
print(f"largest |y| {abs(y).max():.6f}, largest |A'y| {abs(A.T @ y).max():.1e}")
print(f"lower bound {y @ rings:.9f}, reached {median.fun:.9f}")

# %%
# From outliers to extremes
# -------------------------
#
# The power decides which abalones count. With p = 1 the oldest have no more say than any other,
# with p = 8 little but the extremes matters.

powers = (1, 1.2, 1.5, 2, 3, 5, 8)
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for p in powers:
    residual = np.sort(abs(rings - A @ numopt.lp_regression(A, rings, p).x))[::-1]
    ax.semilogx(1 + np.arange(residual.size), residual, label=f"p = {p}")
ax.set(xlabel="abalones, largest residual first", ylabel="residual, rings")
_ = ax.legend()

# %%
# Speed against accuracy
# ----------------------
#
# The gap of every iterate is known, so that a callback can draw how it falls.

columns = np.column_stack([A] + [np.sin(k * length / 50) for k in range(1, 6)])
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for p, color in ((1, numopt.plotting.SOURCE), (1.2, numopt.plotting.TARGET), (5, "#009e73")):
    trace = []

    def keep(state, trace=trace):
        """Note the time and the gap of an iterate."""
        trace.append((time.perf_counter(), state.error))

    numopt.lp_regression(columns, rings, p)  # the first call may compile
    begin = time.perf_counter()
    numopt.lp_regression(columns, rings, p, callback=keep)
    moments = [1e3 * (moment - begin) for moment, _ in trace]
    ax.semilogy(moments, [max(gap, 1e-16) for _, gap in trace], "o-", color=color, label=f"p = {p}")
ax.axhline(1e-9, color="0.3", linewidth=1, linestyle="--", label="tolerance")
ax.set(xlabel="milliseconds", ylabel="relative gap")
_ = ax.legend()
