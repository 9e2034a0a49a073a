"""
Ratings, and what to compare with
=================================

Who liked what is the matrix everybody wants to complete. It is also the one that low rank helps
least: ratings are noisy, and most of what can be known is that some people are generous and
some films are good. This example completes ratings of films, and prints beside every error that of
the *additive model*, a mean with an offset for each person and each film.
"""

# %%
# The additive model
# ------------------
#
# 196 people rated 99 films from 0 to 10, 5191 ratings in all; a tenth is set aside. A number for
# ``bias`` is the regularization of the offsets. So large a ``reg`` leaves nothing of the factors.

from pathlib import Path

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import numopt

data = np.load(Path("data") / "ratings.npz")
user, movie = data["user"].astype(int), data["movie"].astype(int)
rating, test = data["rating"].astype(float), data["test"]
train = (user[~test], movie[~test], rating[~test], (196, 99))
held_out = (user[test], movie[test], rating[test])


def rmse(result):
    """Return the error on the ratings set aside."""
    return float(np.sqrt(np.mean((result.predict(*held_out[:2]) - held_out[2]) ** 2)))


additive = numopt.matrix_completion(train, 1, reg=1e6, bias=3.0, rng=0)
mean = np.sqrt(np.mean((train[2].mean() - held_out[2]) ** 2))
print(f"mean alone {mean:.3f}, additive model {rmse(additive):.3f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, offsets, label in zip(
    axes, (additive.row_bias, additive.col_bias), ("people", "films"), strict=True
):
    ax.hist(offsets, bins=25, color=numopt.plotting.SOURCE)
    ax.set(xlabel="offset from the mean", ylabel=label)

# %%
# More than that?
# ---------------
#
# The regularization is chosen on the ratings set aside, for an honest comparison in favor of low
# rank. With little of it the factors learn the noise. As it grows they fade away, and what is left
# is the additive model. Without offsets the factors have to do that work as well.

regs = np.geomspace(2, 40, 12)
curves = {}
for name, options in {
    "factors and offsets": {"bias": 3.0},
    "factors alone": {"bias": False},
}.items():
    curves[name] = [
        rmse(numopt.matrix_completion(train, 8, reg=float(reg), rng=0, **options)) for reg in regs
    ]
    print(f"{name:20} {min(curves[name]):.3f}, additive model {rmse(additive):.3f}")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for (name, errors), color in zip(curves.items(), numopt.plotting.COLORS, strict=False):
    ax.semilogx(regs, errors, "o-", color=color, label=name)
ax.axhline(rmse(additive), color="0.3", linestyle="--", label="additive model")
ax.set(xlabel="regularization of the factors", ylabel="error on ratings set aside")
ax.set_ylim(1.25, 2.4)
_ = ax.legend()

# %%
# Where to stop
# -------------
#
# Instead of regularizing, one can stop before the noise is learned. The history records the
# error on ``validation`` after each sweep, and ``early_stopping`` returns the best model seen.

stopped = numopt.matrix_completion(
    train,
    8,
    reg=0.5,
    bias=3.0,
    validation=held_out,
    early_stopping=20,
    continuation=False,
    init="random",
    rng=0,
)
errors = [record["rmse"] for record in stopped.history]
print(stopped.message)
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(errors, color=numopt.plotting.TARGET, label="ratings set aside")
ax.axhline(rmse(additive), color="0.3", linestyle="--", label="additive model")
ax.plot(int(np.argmin(errors)), min(errors), "o", color="k")
ax.set(xlabel="sweep", ylabel="error")
_ = ax.legend()

# %%
# A proof of what is left
# -----------------------
#
# With ``certify`` the solver says whether more columns could help the objective, too: how large the
# residuals are, in the dual norm, beside the regularization. One: not even a matrix of full rank
# fits better under this regularization. The singular values show how many of the 30 columns are in
# use.

proved = numopt.matrix_completion(
    (*train[:2], train[2] - train[2].mean(), train[3]), 30, reg=14.0, certify=True, tol=1e-8, rng=0
)
print(f"dual norm {proved.stats['dual_norm']:.6f}, relative gap {proved.gap:.1e}")
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.bar(np.arange(1, 31), proved.singular_values, color=numopt.plotting.SOURCE)
ax.set(xlabel="column", ylabel="singular value")
_ = ax.set_xticks([1, 10, 20, 30])
