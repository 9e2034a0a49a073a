"""
Which rows matter
=================

A tall matrix has many rows that say the same. A *coreset* is a few of them, weighted so that they
stand for all, whatever question is asked: ``sum(abs(A @ x) ** p)`` comes out right for every x.
Rows drawn at random do not do that. This example shows which rows have to be there, and how many.
"""

# %%
# Scores
# ------
#
# The rows are Chebyshev polynomials at 400 points between -1 and 1. The sensitivity of a row is the
# largest share it can have in a sum of p-th powers. For p = 4 the ends stand out: a polynomial can
# be large there and small everywhere else.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import numopt

p, t = 4, np.linspace(-1, 1, 400)
A = np.polynomial.chebyshev.chebvander(t, 7)
kinds = {"sensitivity": "#3776ab", "lewis": "#e07b39", "leverage": "#009e73"}
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for kind, color in kinds.items():
    result = numopt.lp_scores(A, p, kind=kind, tol=1e-3)
    print(f"{kind:12} sum {result.total:6.2f}")
    ax.semilogy(t, result.scores, color=color, label=kind)
ax.axhline(8 / t.size, color="0.5", linestyle="--", linewidth=1, label="uniform")
ax.set(xlabel="point of the row", ylabel="score")
_ = ax.legend()

# %%
# The sum of the sensitivities is what a sample by them pays for. It can be as large as ``d ** 2``,
# 64 here, but this matrix has structure. A few dozen rows are enough to estimate the sum:

estimate = numopt.total_sensitivity(A, p, rng=0)
print(f"{estimate.total:.2f} +- {estimate.stderr:.2f}, from {estimate.n_solves} rows")

# %%
# A sample
# --------
#
# Rows are kept with probabilities in proportion to their scores, and weigh the inverse. Those at
# the ends are kept for certain and weigh 1.

coreset = numopt.lp_coreset(A, None, p, sample_size=60, method="sensitivity", rng=0)
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ax.vlines(t[coreset.indices], 0, coreset.weights, color="0.8")
ax.scatter(t[coreset.indices], coreset.weights, s=12, color=numopt.plotting.SOURCE)
ax.set(xlabel="point of the row", ylabel="weight")
_ = ax.set_title(f"{coreset.size} of {t.size} rows")

# %%
# Where the classical way breaks
# ------------------------------
#
# Take the direction in which the last row is largest, one of random ones, and estimate the sum
# of fourth powers from 100 samples of each kind. Uniform samples miss the ends: most of them are
# far too low, and a few are far too high.

heavy = np.linalg.lstsq(A.T @ A, A[-1], rcond=None)[0]
truth = (abs(A @ heavy) ** p).sum()
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
bins = np.linspace(0, 3, 61)
for method, color in (("uniform", "0.6"), ("lewis", "#e07b39"), ("sensitivity", "#3776ab")):
    scores = numopt.lp_coreset(A, None, p, method=method, rng=0).scores
    ratios = []
    for seed in range(100):
        drawn = numopt.lp_coreset(A, None, p, scores=scores, sample_size=60, rng=seed)
        ratios.append((drawn.weights * abs(drawn.A @ heavy) ** p).sum() / truth)
    print(f"{method:12} mean {np.mean(ratios):.2f}, standard deviation {np.std(ratios):.2f}")
    ax.hist(np.clip(ratios, 0, 3), bins, histtype="step", color=color, label=method, linewidth=1.5)
ax.set(xlabel="estimate / truth", ylabel="samples")
_ = ax.legend()

# %%
# Regression on a few rows
# ------------------------
#
# With responses, scores are those of the rows of ``[A b]``. The loss of the fit to the coreset, on
# all rows, is compared with that of the best fit. More rows, less loss: the excess falls in
# proportion to the size of the sample.

rng = np.random.default_rng(1)
b = np.sin(4 * t) + 0.1 * rng.standard_t(3, size=t.size)
best = numopt.lp_regression(A, b, p)
sizes = np.array([30, 60, 120, 240])
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for method, color in (("uniform", "0.6"), ("lewis", "#e07b39"), ("sensitivity", "#3776ab")):
    scores = numopt.lp_coreset(A, b, p, method=method, rng=0).scores
    medians = []
    for size in sizes:
        losses = []
        for seed in range(9):
            drawn = numopt.lp_coreset(A, b, p, scores=scores, sample_size=int(size), rng=seed)
            x = numopt.lp_regression(drawn.A, drawn.b, p, weights=drawn.weights).x
            losses.append((abs(b - A @ x) ** p).sum() / best.fun - 1)
        medians.append(np.median(losses))
    ax.loglog(sizes, medians, "o-", color=color, label=method)
ax.set(xlabel="rows in the sample", ylabel="median excess loss")
_ = ax.legend()

# %%
# A coreset is weighted rows and nothing else: any fitter that takes sample weights can use it.
# What it cannot do is to certify itself. ``lp_regression`` on all rows can, and for one fit in
# memory it is fast enough that sampling does not pay. Samples are for what comes many times, or
# does not fit.
