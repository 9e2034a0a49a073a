"""
Filling in a metro network
==========================

Gates count the passengers who enter 80 metro stations of Hangzhou, every ten minutes from six in
the morning to midnight, for a week. Suppose that two fifths of the counts are lost. A day at a
station looks like other days at other stations: most are a mixture of a few patterns, commuters in
the morning, commuters in the evening, visitors in between. The table of all station-days, one row
each, is close to a matrix of low rank, and the counts that are left are enough to find it.
"""

# %%
# What is left
# ------------
#
# Missing counts are nan. :func:`numopt.matrix_completion` needs to know the rank, or finds it.

from pathlib import Path

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import numopt

flow = np.load(Path("data") / "metro.npz")["flow"].astype(float)
table = flow.reshape(-1, flow.shape[2])  # 80 stations x 7 days, 108 slots
rng = np.random.default_rng(0)
lost = rng.random(table.shape) < 0.4
seen = np.where(lost, np.nan, table)

result = numopt.matrix_completion(seen, 10, reg=300.0, rng=0)
filled = result.matrix()


def relative_error(guess):
    """Return the error on the lost counts, relative to their size."""
    return np.linalg.norm((guess - table)[lost]) / np.linalg.norm(table[lost])


print(result.message)
print(f"error on the lost counts: {relative_error(filled):.1%}")

busy = np.argsort(-table.max(axis=1))[:140]
figure, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
pictures = {"what was counted": table, "what is left": seen, "filled in": filled}
for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
    shown = np.sqrt(np.clip(picture[busy], 0, None))
    ax.imshow(shown, aspect="auto", cmap="viridis", vmin=0, vmax=40, extent=(6, 24, 140, 0))
    ax.set(title=title, xlabel="hour")
_ = axes[0].set_ylabel("station-days, busiest first")

# %%
# A day at a station
# ------------------
#
# Averages over the other days of the same station would be a guess, and so would a straight line
# from the last count to the next. The low-rank table knows both the day and the station.

left = (~lost).reshape(flow.shape)
means = (flow * left).sum(axis=1, keepdims=True) / np.maximum(left.sum(axis=1, keepdims=True), 1)
by_station = np.broadcast_to(means, flow.shape).reshape(table.shape)
slots = np.arange(table.shape[1])
lines = np.stack(
    [np.interp(slots, slots[~gone], row[~gone]) for row, gone in zip(table, lost, strict=True)]
)
guesses = {
    "mean of the station": by_station,
    "line to the next count": lines,
    "low rank": filled,
}
for name, guess in guesses.items():
    print(f"{name:24} {relative_error(guess):.1%}")

day = busy[8]
hours = 6 + slots / 6
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ax.plot(hours, table[day], color="0.75", linewidth=4, label="what was counted")
ax.plot(hours, filled[day], color=numopt.plotting.TARGET, label="low rank")
ax.plot(hours, seen[day], ".", color=numopt.plotting.SOURCE, label="what is left")
ax.set(xlabel="hour", ylabel="passengers in ten minutes")
_ = ax.legend()

# %%
# How many patterns?
# ------------------
#
# Too few columns miss patterns, too many fit what is only chance. Neither shows in the error on the
# counts that are left, which always falls. :func:`numopt.rank_path` hides a tenth of them from the
# solver and looks at the error there. Regularization makes the choice less delicate: it lets a
# pattern in only where the counts speak for it.

ranks = [1, 2, 3, 4, 6, 8, 12, 16]
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for reg, color in ((0.0, numopt.plotting.TARGET), (300.0, numopt.plotting.SOURCE)):
    path = numopt.rank_path(seen, ranks, reg=reg, rng=0, maxiter=60)
    ax.semilogy(path.ranks, path.rmse, "o-", color=color, label=f"reg {reg:g}")
    print(f"reg {reg:g}: rank {path.rank}, {path.fun:.1f} passengers off")
ax.set(xlabel="rank", ylabel="error on held-out counts")
_ = ax.legend()

# %%
# The patterns
# ------------
#
# The columns of ``Y`` are the patterns. With ``nonneg=True`` a day is a sum of patterns that never
# take passengers away, and they can be read: a morning peak, an evening peak, days without either.

parts = numopt.matrix_completion(seen, 4, nonneg=True, reg=10.0, rng=0, tol=1e-4)
order = np.argsort(-np.linalg.norm(parts.X, axis=0) * np.linalg.norm(parts.Y, axis=0))
figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for number, k in enumerate(order):
    share = parts.Y[:, k] / parts.Y[:, k].sum()
    ax.plot(hours, share, color=numopt.plotting.COLORS[number])
ax.set(xlabel="hour", ylabel="share of the passengers", title="Four patterns of a day")
_ = ax.set_ylim(bottom=0)
