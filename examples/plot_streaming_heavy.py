"""
A stream with heavy rows
========================

A few rows of a stream may be so long, or heavy, that they decide its top eigenvector. A method
that takes small steps passes over them, and one that draws rows at random never sees them. No
algorithm can do without memory for such rows; this example shows what keeping them exactly does.
"""

# %%
# Eight rows of 10 000
# --------------------
#
# Most rows are noise in all directions but one. Eight are heavy, and they alone point along that
# one. In the picture, rows are projected to it and to a direction of the noise.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import numopt

d, n = 64, 10_000
rng = np.random.default_rng(1)
A = rng.normal(size=(n, d))
A[:, 0] = 0
where = np.sort(rng.choice(n, 8, replace=False))
A[where] = 0
A[where, 0] = np.sqrt(4 * n / 8) * rng.choice([-1, 1], size=8)
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ax.plot(A[:, 0], A[:, 1], ".", color="0.7", markersize=2)
ax.plot(A[where, 0], A[where, 1], "o", color="#e07b39", label="eight heavy rows")
ax.set(xlabel="along the eigenvector", ylabel="along another direction")
_ = ax.legend(loc="lower right")

# %%
# With and without their places
# -----------------------------
#
# The block power method of the paper keeps a row exactly if its squared norm is above a share of
# the sum over all rows. A threshold nothing passes turns that off: each block then sees at most one
# of the heavy rows or two, and some see none.

blocks = {"method": "block-power", "blocks": "uniform", "n_rows": n, "rng": 0}
for name, threshold in (("kept", None), ("not kept", 1e9)):
    found = numopt.top_eigenvector(A, heavy_threshold=threshold, **blocks)
    print(f"{name:9} {found.stats['n_heavy']} rows, squared sine {max(1 - found.x[0] ** 2, 0):.1e}")
    del found

# %%
# The same over many orders of the rows, against Oja's method, whose steps are too small for them.


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


runs = {
    "Oja": ada_oja,
    "blocks, heavy rows sampled": lambda B, s: (
        numopt.top_eigenvector(B, heavy_threshold=1e9, **(blocks | {"rng": s})).x
    ),
    "blocks, heavy rows kept": lambda B, s: numopt.top_eigenvector(B, **(blocks | {"rng": s})).x,
    "choice of the tracks": lambda B, s: numopt.top_eigenvector(B, rng=s).x,
}
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for place, solve in enumerate(runs.values()):
    orders = [A[np.random.default_rng(s).permutation(n)] for s in range(5)]
    errors = [max(1 - solve(B, s)[0] ** 2, 1e-16) for s, B in enumerate(orders)]
    jitter = place + np.linspace(-0.2, 0.2, 5)
    color = "#3776ab" if max(errors) < 1e-6 else "#e07b39"
    ax.semilogx(errors, jitter, "o", color=color, markersize=5)
ax.set_yticks(range(len(runs)), list(runs))
_ = ax.set(xlim=(1e-17, 3), xlabel="squared sine of the angle, five orders of the rows")

# %%
# How many of them a block sees
# -----------------------------
#
# The blocks of the published method are as long as one another. A block with none of the heavy rows
# turns its vector away from the answer; one with two overrates them.

count = np.histogram(where, bins=np.linspace(0, n, 11))[0]
figure, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
ax.bar(np.arange(10) + 1, count, color="#e07b39")
ax.axhline(0.8, color="0.5", linestyle="--", linewidth=1)
_ = ax.set(xlabel="block of 1000 rows", ylabel="heavy rows in it")

# %%
# Heavy rows that find no room
# ----------------------------
#
# There is room for a few such rows only. Those that are parallel share a place, but eight in
# different directions do not. Then ``stats["n_heavy_overflow"]`` counts what found no room, and the
# estimate of the error, which knows nothing of them, is not taken for success.

scattered = A.copy()
scattered[where] = rng.normal(size=(8, d)) * np.sqrt(n / d)
scattered[:, 5] *= 3
print(numopt.top_eigenvector(scattered, rng=0).message)

# %%
# More memory settles it.

exact = np.linalg.eigh(scattered.T @ scattered)[1][:, -1]
sizes, errors, room = (24, 32, 40, 48, 60), [], []
for size in sizes:
    result = numopt.top_eigenvector(scattered, memory_rows=size, rng=0)
    errors.append(1 - (result.x @ exact) ** 2)
    room.append(result.stats["n_heavy_overflow"])
    print(f"{size} rows: {room[-1]} without room, success {result.success}")
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ax.semilogy(sizes, errors, "o-", color="#3776ab")
for size, error, left in zip(sizes, errors, room, strict=True):
    ax.annotate(f"{left} without room", (size, error), xytext=(4, 6), textcoords="offset points")
_ = ax.set(xlabel="memory_rows", ylabel="squared sine", xlim=(22, 72))
