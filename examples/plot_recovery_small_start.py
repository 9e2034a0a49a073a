"""
Why a start should be small
===========================

A symmetric matrix of rank 1 is measured by 240 random functionals; three tenths of the numbers that
come back are nonsense. The rank is not known, so a factor with as many columns as the matrix has is
fitted to the measurements, in the l1 norm. There are fewer good measurements than numbers in such a
matrix: it can fit the nonsense, too. Whether it does is decided by the size of the start.
"""

# %%
# The same method from a small and from a large start
# ----------------------------------------------------
#
# This is the published method alone, without what :func:`~numopt.robust_low_rank_recovery` adds by
# default: no pruning, no polishing. The objective falls either way. The error does not.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
d, r = 20, 1
m = 12 * d * r
truth = np.linalg.qr(rng.normal(size=(d, r)))[0]
X = truth @ truth.T
A = rng.normal(size=(m, d, d))
y = np.einsum("mij,ij->m", A, X)
wrong = rng.random(m) < 0.3
y[wrong] += 15 * rng.normal(size=wrong.sum())
published = {"scaling": False, "prune": False, "polish": False, "tol": 1e-12}


def error_of(result):
    """Return the relative error of the matrix."""
    return np.linalg.norm(result.matrix() - X) / np.linalg.norm(X)


budgets = np.array([0, 5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240])
starts = {
    "small, 1e-6": {"alpha": 1e-6},
    "medium, 1e-2": {"alpha": 1e-2, "x0": "random", "rng": 0},
    "large, 1": {"alpha": 1.0, "x0": "random", "rng": 0},
}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
colors = (numopt.plotting.SOURCE, "#009e73", numopt.plotting.TARGET)
for (name, options), color in zip(starts.items(), colors, strict=True):
    runs = [
        numopt.robust_low_rank_recovery(A, y, d, maxiter=int(n), **published, **options)
        for n in budgets
    ]
    axes[0].semilogy(budgets, [error_of(run) for run in runs], ".-", color=color, label=name)
    axes[1].plot(budgets, [run.fun for run in runs], ".-", color=color, label=name)
axes[0].set(xlabel="iterations", ylabel="relative error")
axes[1].set(xlabel="iterations", ylabel="objective")
axes[1].set_ylim(4.2, 5.2)
axes[1].axhline(abs(A.reshape(m, -1) @ X.ravel() - y).mean(), color="0.3", linestyle="--")
_ = axes[0].legend(title="start")

# %%
# The dashed line is the objective of the true matrix. From a large start it is passed: that factor
# explains the measurements *better* than the truth does, by fitting outliers, and is useless.
# From a small start only the directions that the measurements agree on grow to any size.

# %%
# What grows
# ----------
#
# The singular values of the factor, from a small start. One rises to the size of the matrix; the
# other nineteen stay far below it.


def spectrum_after(n):
    """Return the singular values of the factor after some iterations."""
    stopped = numopt.robust_low_rank_recovery(A, y, d, maxiter=int(n), alpha=1e-6, **published)
    return np.linalg.svd(stopped.U)[1]


paths = [spectrum_after(n) for n in budgets[:9]]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.semilogy(budgets[:9], np.maximum(paths, 1e-12)[:, r:], color="0.7")
ax.semilogy(budgets[:9], np.array(paths)[:, :r], color=numopt.plotting.SOURCE, linewidth=2)
ax.set(xlabel="iterations", ylabel="singular values of the factor")

# %%
# With the finish
# ---------------
#
# The gap that has opened tells the rank. By default the factor is cut there, refined by
# Gauss-Newton steps that forget outliers, and accepted once many more measurements agree exactly
# than there are unknowns. Nobody told the solver the rank, or which measurements are wrong.

result = numopt.robust_low_rank_recovery(A, y)
print(result.message)
print(f"{result.nit} iterations, relative error {error_of(result):.1e}")
print(f"outliers found: {np.array_equal(result.outlier_mask, wrong)}")

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ends = np.sort(abs(result.residual))
ax.semilogy(np.maximum(ends, 1e-17), color=numopt.plotting.SOURCE)
ax.axvline(m - wrong.sum(), color="0.3", linestyle="--")
ax.set(xlabel="measurements, by residual", ylabel="residual")

# %%
# How many outliers are too many?
# -------------------------------
#
# With more measurements, more of them may be wrong.

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for over, color in zip((4, 8, 16), colors, strict=True):
    shares, solved = np.arange(0.1, 0.75, 0.1), []
    for p in shares:
        hits = 0
        for _trial in range(4):
            B = rng.normal(size=(over * d * r, d, d))
            z = np.einsum("mij,ij->m", B, X)
            bad = rng.random(z.size) < p
            z[bad] += 15 * rng.normal(size=bad.sum())
            hits += numopt.robust_low_rank_recovery(B, z, 4, maxiter=150).success
        solved.append(hits / 4)
    ax.plot(shares, solved, "o-", color=color, label=f"{over} d r measurements")
ax.set(xlabel="share of outliers", ylabel="share of verified recoveries")
_ = ax.legend()
