"""
Where the error of a sketch sits
================================

A tall least squares problem can be squeezed to a few rows by a random matrix and solved there. Any
decent sketch makes the *length* of the error small. Whether it makes *every coordinate* accurate is
another question, and the answer depends on the sketch. This example shows two that differ.
"""

# %%
# Average receipts
# ----------------
#
# 64 shops hand in 16 receipts each. The average receipt of every shop is a least squares problem:
# a column for each shop, a one in the column of the shop that a receipt is from. Receipts are about
# 50, but someone has typed one of them without its decimal point.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np

import numopt

ERROR, OTHER = numopt.plotting.SOURCE, "#d55e00"
STYLES = {"srht": ("SRHT", ERROR), "countsketch": ("CountSketch", OTHER)}
shops, m, each = 64, 512, 16
rng = np.random.default_rng(1)
shop = np.repeat(np.arange(shops), each)
receipts = rng.normal(50, 10, shop.size)
receipts[350] *= 100
A = (shop[:, None] == np.arange(shops)).astype(float)

exact = numopt.lstsq(A, receipts)
figure, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
ax.semilogy(shop + rng.uniform(-0.3, 0.3, shop.size), receipts, ".", markersize=2, color="0.6")
ax.semilogy(exact.x, "_", color="black", markersize=7, label="average of the shop")
ax.set(xlabel="shop", ylabel="receipt")
_ = ax.legend(loc="upper left")

# %%
# Sketched to half of the rows, with a subsampled randomized Hadamard transform (SRHT) and
# with CountSketch, which adds every row with a random sign to one of ``m`` buckets.

figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True)
for ax, (sketch, (name, color)) in zip(axes, STYLES.items(), strict=True):
    rough = numopt.lstsq(A, receipts, method="sketch", sketch=sketch, sketch_size=m, rng=7)
    error = rough.x - exact.x
    ax.bar(np.arange(shops), error, color=color, width=1.0)
    ax.set(title=name, xlabel="shop")
    print(
        f"{name:11}  length of the error {np.linalg.norm(error):6.0f}"
        f"   largest {abs(error).max():6.0f}   median {np.median(abs(error)):6.1f}"
    )
axes[0].set_ylabel("error of the average")

# %%
# The lengths are alike. But CountSketch is closer for most shops, and far off for the few that
# happen to share a bucket with the mistyped receipt, which is not theirs. The SRHT mixes all rows
# into each row of the sketch, so that every shop bears its share of the error.
#
# The worst case
# --------------
#
# The more the residual is concentrated, the worse it gets. The extreme: the columns of the
# identity, and a right-hand side of sixteen equal entries in rows that belong to no column. The
# solution is zero. Sooner or later two heavy things meet in a bucket of CountSketch, and the
# whole error lands on one coordinate.

d, worst_m = 64, 1024
n, heavy = 4 * worst_m, worst_m // d
worst, target = np.eye(n, d), np.zeros(n)
target[d : d + heavy] = heavy**-0.5

figure, axes = plt.subplots(2, 4, figsize=(9, 3.6), layout="constrained", sharex=True, sharey=True)
for row, (sketch, (name, color)) in zip(axes, STYLES.items(), strict=True):
    for seed, ax in enumerate(row):
        rough = numopt.lstsq(
            worst, target, method="sketch", sketch=sketch, sketch_size=worst_m, rng=seed
        )
        ax.bar(np.arange(d), rough.x, color=color, width=1.0)
        ax.set_title(f"{name}, seed {seed}", fontsize="small")
for ax in axes[1]:
    ax.set_xlabel("coordinate")
_ = [row[0].set_ylabel("error") for row in axes]

# %%
# The theorem, and a few hundred seeds
# ------------------------------------
#
# With R the norm of the residual and :math:`\|A^+\|` the inverse of the smallest singular value,
# the errors of the SRHT behave like independent normal numbers of standard deviation at most
# :math:`R \|A^+\| / \sqrt m`. With probability 0.99 none of the d then exceeds
# :math:`\sqrt{2 \log (2 d / 0.01)}` of those. How often is that so? For each seed, the largest
# error in that unit:


def largest_errors(A, b, exact, sketch, m, seeds=100):
    """Return the largest error of a coordinate for each seed, in units of R |A^+| / sqrt(m)."""
    unit = np.linalg.norm(b - A @ exact) / np.linalg.svd(A, compute_uv=False)[-1] / np.sqrt(m)
    found = [
        numopt.lstsq(A, b, method="sketch", sketch=sketch, sketch_size=m, rng=seed).x
        for seed in range(seeds)
    ]
    return np.array([abs(x - exact).max() for x in found]) / unit


problems = {
    "receipts": (A, receipts, exact.x, m),
    "worst case": (worst, target, np.zeros(d), worst_m),
}
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
for ax, (title, (*problem, rows)) in zip(axes, problems.items(), strict=True):
    limit = np.sqrt(2 * np.log(2 * problem[0].shape[1] / 0.01))
    for sketch, (name, color) in STYLES.items():
        largest = largest_errors(*problem, sketch, rows)
        ax.hist(largest, np.linspace(0, 12, 49), color=color, alpha=0.7, label=name)
        print(f"{title:10}  {name:11}  above the line for {np.mean(largest > limit):6.1%} of seeds")
    ax.axvline(limit, color="black", linestyle="--", label="holds with probability 0.99")
    ax.set(title=title, xlabel="largest error of a coordinate")
axes[0].set_ylabel("seeds")
axes[0].set_ylim(0, 60)
_ = axes[0].legend(loc="upper right", fontsize="small")

# %%
# For the SRHT the line holds, whatever the data; that is the theorem of Song, Ye, Yin and Zhang
# (2023). For CountSketch it does not. In the worst case its error is :math:`\sqrt d = 8` units, on
# a single coordinate, for most seeds, and zero for the others.
#
# A sketch that is large enough
# -----------------------------
#
# The other way round: given ``eps``, :func:`numopt.lstsq` takes as many rows as the bound needs and
# reports it as ``linf_bound``. Halving ``eps`` takes four times the rows.

n = 1 << 16
design = rng.standard_normal((n, 20))
response = design @ rng.standard_normal(20) + rng.standard_normal(n)
best = numopt.lstsq(design, response)
roughs = [
    numopt.lstsq(design, response, method="sketch", eps=eps, rng=0) for eps in (0.8, 0.4, 0.2, 0.1)
]
sizes = [rough.stats["sketch_size"] for rough in roughs]
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for rough in roughs:
    errors = abs(rough.x - best.x)
    ax.loglog(np.full(20, rough.stats["sketch_size"]), errors, ".", color=ERROR, alpha=0.5)
ax.loglog(sizes, [rough.linf_bound for rough in roughs], "k--", label="linf_bound")
ax.set(xlabel="rows of the sketch, of 65536", ylabel="errors of the 20 coordinates")
_ = ax.legend()

# %%
# If you need more than a few digits, let the sketch be the start and not the end: every other
# method of :func:`numopt.lstsq` refines it, to a backward error at the level of rounding.

print(best.message)
