"""
Three ways to read a stream
===========================

Rows come once, and there is memory for a few of them. Oja's method takes a small step for every
row; merge and truncate, which is what incremental PCA does, keeps the best few directions so far;
a third way is the power method over blocks of the stream. Each has streams on which it fails.
``top_eigenvector`` runs all three side by side and lets rows that none of them has seen decide.
"""

# %%
# Three streams
# -------------
#
# All have 200 columns and one eigenvalue two to three times the next. In the first, rows are
# Gaussian. In the second, each row is one vector of a basis, the first of them 2.5 times as often
# as the others. In the third, eight heavy rows carry the top eigenvector and no other row says
# anything of it.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import numopt

d, n = 200, 12_000
rng = np.random.default_rng(0)


def rotated(rows):
    """Return rows in other coordinates, so that no method gains from zeros."""
    return rows @ np.linalg.qr(rng.normal(size=(d, d)))[0]


gaussian = rotated(rng.normal(size=(n, d)) * np.sqrt([3.5] + (d - 1) * [1.0]))
chances = np.array([2.5] + (d - 1) * [1.0])
basis = rotated(np.eye(d)[rng.choice(d, n, p=chances / chances.sum())])
heavy_rows = rng.normal(size=(n, d)) * np.sqrt([0.0] + (d - 1) * [1.0])
heavy_rows[rng.choice(n, 8, replace=False)] = np.sqrt(3 * n / 8) * np.eye(d)[0]
streams = {
    "Gaussian rows": gaussian,
    "vectors of a basis": basis,
    "eight heavy rows": rotated(heavy_rows),
}

# %%
# The error is the squared sine of the angle to the eigenvector of the whole matrix: 1 for a vector
# that knows nothing of it. Each method gets memory for 24 rows at most.


def ada_oja(rows, seed):
    """Run Oja's method with the step size of AdaOja."""
    v = np.random.default_rng(seed).normal(size=d)
    v, total = v / np.linalg.norm(v), 1e-5 * (rows[0] @ rows[0])
    for row in rows:
        gradient = (row @ v) * row
        total += gradient @ gradient
        v = v + gradient / np.sqrt(total)
        v /= np.linalg.norm(v)
    return v


methods = {
    "Oja": ada_oja,
    "truncation": lambda A, s: (
        numopt.top_eigenvector(A, method="truncate", memory_rows=11, rng=s).x
    ),
    "block power": lambda A, s: numopt.top_eigenvector(A, method="block-power", rng=s).x,
    "choice of the three": lambda A, s: numopt.top_eigenvector(A, rng=s).x,
}
errors = {}
for stream, A in streams.items():
    exact = np.linalg.eigh(A.T @ A)[1][:, -1]
    for method, solve in methods.items():
        shuffled = [A[np.random.default_rng(s).permutation(n)] for s in range(3)]
        found = [1 - (solve(B, s) @ exact) ** 2 for s, B in enumerate(shuffled)]
        errors[stream, method] = np.maximum(found, 1e-15)
        print(f"{stream:20} {method:19} worst of three {max(found):.1e}")

# %%
# Every method alone has a stream on which one order of the rows or another leaves it with
# nothing, or with little.

colors = {
    "Oja": "#e07b39",
    "truncation": "#009e73",
    "block power": "0.6",
    "choice of the three": "#3776ab",
}
figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for i, stream in enumerate(streams):
    for j, (method, color) in enumerate(colors.items()):
        y = errors[stream, method]
        x = i + 0.18 * (j - 1.5)
        ax.semilogy([x, x], [1e-16, y.max()], color=color, linewidth=9, alpha=0.35)
        ax.semilogy(
            np.full(3, x), y, "o", color=color, markersize=4, label=method if i == 0 else None
        )
ax.set(ylim=(1e-16, 3), ylabel="squared sine of the angle")
ax.set_xticks(range(3), list(streams))
_ = ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.13), frameon=False)

# %%
# How it decides
# --------------
#
# At the start of each block a vector of each track is set aside, and the rows of the block measure
# how well they do. The result says which track the answer is from, and how far truncation led each
# of the others in the last block, in standard errors. It is kept unless another is better beyond
# doubt.

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
for i, (stream, A) in enumerate(streams.items()):
    found = numopt.top_eigenvector(A, rng=0)
    print(f"{stream:20} {found.method_used}, success {found.success}")
    for j, other in enumerate(("block-power", "oja")):
        color = colors["block power" if j == 0 else "Oja"]
        label = f"against {other}" if i == 0 else None
        ax.bar(
            i + 0.25 * j - 0.125, found.stats["selection_z"][other], 0.22, color=color, label=label
        )
ax.axhline(-3, color="0.5", linestyle="--", linewidth=1)
ax.set_yscale("symlog", linthresh=3)
ax.set_xticks(range(3), list(streams))
ax.set_ylabel("lead of truncation")
_ = ax.legend()

# %%
# What it says of its own error
# -----------------------------
#
# The same rows give an estimate of the error, which is for rows in random order. Here are the
# estimates along the Gaussian stream, and the true errors against the rows read so far.

along = np.abs(gaussian @ np.linalg.eigh(gaussian.T @ gaussian)[1][:, -1])
ordered = gaussian[np.argsort(along)]
model, twin = (numopt.StreamingEigenvector(tol=0.05, rng=0) for _ in range(2))
rows, truth, estimate, pvalues = [], [], [], []
for start in range(0, n, 1000):
    result = model.partial_fit(gaussian[start : start + 1000]).result()
    sorted_rows = twin.partial_fit(ordered[start : start + 1000]).result().order_pvalue
    seen = gaussian[: start + 1000]
    rows.append(len(seen))
    truth.append(1 - (result.x @ np.linalg.eigh(seen.T @ seen)[1][:, -1]) ** 2)
    estimate.append(result.sin2_estimate)
    pvalues.append((result.order_pvalue, max(sorted_rows, 1e-30)))
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.semilogy(rows, truth, color="#3776ab", label="true error")
ax.semilogy(rows, estimate, color="#e07b39", label="estimate")
ax.set(xlabel="rows read", ylabel="squared sine")
_ = ax.legend()
print(result.message)

# %%
# An order that is not random
# ---------------------------
#
# The same rows, sorted by how far they point along the eigenvector: a test on the same sums notices
# that the stream changes. The answer then is from truncation, whose bound holds in any order, and
# does not call the answer a success.

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
for values, color, label in zip(
    zip(*pvalues, strict=True), ("#3776ab", "#e07b39"), ("random order", "sorted"), strict=True
):
    ax.semilogy(rows, values, "o-", color=color, markersize=4, label=label)
ax.axhline(1e-4, color="0.5", linestyle="--", linewidth=1)
ax.set(xlabel="rows read", ylabel="p-value of random order")
_ = ax.legend()
print(twin.result().success, "-", twin.result().message)
