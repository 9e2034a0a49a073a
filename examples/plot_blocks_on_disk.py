"""
More rows than memory
=====================

Sums over rows need one block of rows at a time. Here a matrix lies in eight files; the direction in
which its rows vary most, and a regression with a constraint, come from passes over the files, while
the memory that arrays take is watched.
"""

# %%
# The files
# ---------
#
# Every row is a day: a load at each quarter of an hour, with a profile that is stronger on some
# days than on others, and noise. Eight files of 20 000 days are 61 MB; they might be 61 GB.

# sphinx_gallery_thumbnail_number = 1
import tempfile
import time
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import LinearConstraint

import numopt

hours = np.arange(96) / 4
profile = np.exp(-(((hours - 8) / 2) ** 2)) + 1.5 * np.exp(-(((hours - 19) / 2.5) ** 2))
profile /= np.linalg.norm(profile)
folder = tempfile.TemporaryDirectory()
paths = [Path(folder.name) / f"days-{k}.npy" for k in range(8)]
rng = np.random.default_rng(0)
for path in paths:
    noise = rng.standard_normal((20_000, 96), dtype="float32")
    strength = 3 * rng.standard_normal((20_000, 1), dtype="float32")
    np.save(path, noise + strength * profile.astype("float32"))
size = 8 * 20_000 * 96 * 4 / 1e6


def watched(function):
    """Return what a function returns, the most memory that arrays took meanwhile, and seconds."""
    tracemalloc.start()
    started = time.perf_counter()
    result = function()
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak / 1e6, seconds


# %%
# The strongest direction
# -----------------------
#
# A list of paths is a matrix to the solvers that go through rows; ``row_blocks`` says how many of
# them at a time. One pass finds the direction.

source = numopt.row_blocks(paths, rows=2000)
top, peak, _ = watched(lambda: numopt.top_eigenvector(source, rng=0))
print(f"{size:.0f} MB of rows in {peak:.0f} MB; squared sine of the error {top.sin2_estimate:.1e}")

found = top.x * np.sign(top.x @ profile)
days = np.load(paths[0], mmap_mode="r")[:3]
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(hours, days.T / 10, color="0.85", linewidth=0.8)
ax.plot(hours, profile, color="0.3", linestyle="--", label="profile")
ax.plot(hours, found, color="#3776ab", label="direction found")
ax.plot([], [], color="0.85", label="three days, over ten")
ax.set(xlabel="hour", ylabel="load", xlim=(0, 24))
_ = ax.legend()

# %%
# A loop of one's own
# -------------------
#
# ``row_blocks`` yields the blocks, and reads the next one meanwhile. Their size decides on the
# memory; beyond some thousand rows it no longer decides on the time.


def gram(rows):
    """Return the Gram matrix in double precision."""
    total = np.zeros((96, 96))
    for block in numopt.row_blocks(paths, rows=rows):
        wide = block.astype(float)
        total += wide.T @ wide
    return total


heights = [250, 1000, 4000, 16_000]
measured = [watched(lambda rows=rows: gram(rows))[1:] for rows in heights]
figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for ax, values, label in zip(
    axes, zip(*measured, strict=True), ("peak of memory, MB", "seconds"), strict=True
):
    ax.semilogx(heights, values, "o-", color="#3776ab")
    ax.set(xlabel="rows of a block", ylabel=label)
axes[0].axhline(2 * size, color="#e07b39", linestyle="--")
axes[0].set(yscale="log", ylim=(None, 4 * size))
axes[1].set_ylim(bottom=0)
_ = axes[0].annotate(
    "all rows at once", (heights[0], 2 * size), (0, -12), textcoords="offset points"
)

# %%
# A regression with a constraint
# ------------------------------
#
# Which days had an alarm? A logistic regression, of which we know that its coefficients sum to
# zero: an offset common to all hours must not matter. A :class:`numopt.RowSum` is the objective;
# each step of the solver is a pass over the files.

truth = np.gradient(profile)
margins = np.concatenate([np.load(path, mmap_mode="r") @ truth for path in paths])
alarm = np.where(8 * margins + rng.logistic(size=margins.size) > 0, 1.0, -1.0)
objective = numopt.RowSum(paths, alarm, loss="logistic", mean=True)
fit, peak, seconds = watched(
    lambda: numopt.minimize_equality(
        objective, np.zeros(96), constraints=LinearConstraint(np.ones((1, 96)), 0, 0)
    )
)
print(fit.message)
print(f"{fit.n_passes} passes, {peak:.0f} MB, {seconds:.1f} s; sum {fit.x.sum():.1e}")

# %%
# The coefficients come out as they went in, up to the noise of the labels.

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ax.plot(hours, 8 * truth, color="0.3", linestyle="--", label="truth")
ax.plot(hours, fit.x, color="#3776ab", label="fit")
ax.set(xlabel="hour", ylabel="coefficient", xlim=(0, 24))
_ = ax.legend()

# %%
# A step of Newton's method takes a pass, in which the Hessian comes along with the value.

ax = numopt.plotting.convergence(fit, tol=1e-8)
folder.cleanup()
