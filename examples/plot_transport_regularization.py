"""
How much regularization?
========================

Entropic transport answers a slightly different question from the one asked: its plan is cheap, but
it also prefers to spread mass. How much so is up to ``reg``. This example shows what that does to a
plan and to its cost, how a small value breaks the textbook algorithm without a word, and how much
work a small value is for numopt.
"""

# %%
# Two piles of sand
# -----------------
#
# Sand lies on a line, most of it on the left. It is to be moved to where the orange curve wants
# it. Moving a unit of sand costs the square of the distance.

# sphinx_gallery_thumbnail_number = 2
import time

import matplotlib.pyplot as plt
import numpy as np

import numopt

n = 200
x = np.linspace(0, 1, n)
a = np.exp(-(((x - 0.20) / 0.08) ** 2)) + 0.5 * np.exp(-(((x - 0.50) / 0.04) ** 2))
b = np.exp(-(((x - 0.55) / 0.12) ** 2)) + 0.8 * np.exp(-(((x - 0.85) / 0.05) ** 2))
a, b = a / a.sum(), b / b.sum()
cost = (x[:, None] - x) ** 2

figure, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
ax.fill_between(x, a, alpha=0.8, color=numopt.plotting.SOURCE, label="sand now")
ax.fill_between(x, b, alpha=0.7, color=numopt.plotting.TARGET, label="sand wanted")
ax.set(xlabel="position", yticks=[])
_ = ax.legend()

# %%
# A plan says how much sand goes from each place (row) to each place (column). The largest cost is
# 1, so ``reg`` can be read as a share of it. At 0.1 the sand of a place is scattered over half
# the line; at 0.0001 nearly all of it goes to one place, and the plan is a curve.

regs = (1e-1, 1e-2, 1e-3, 1e-4)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained", sharey=True)
for ax, reg in zip(axes, regs, strict=True):
    result = numopt.entropic_transport(cost, a, b, reg=reg)
    numopt.plotting.transport_plan(result, ax=ax, masses=False, colorbar=False)
    ax.set(title=f"reg = {reg:g}", aspect="equal")
    ax.label_outer()

# %%
# The textbook algorithm, and how it fails
# ----------------------------------------
#
# Sinkhorn's algorithm is short enough to write down. It scales the rows and columns of the matrix
# ``exp(-cost / reg)`` in turn until both sums are right. Divisions by zero happen, so that
# implementations often add a tiny number to the denominators.


def textbook_sinkhorn(cost, a, b, reg, guard, sweeps=1000):
    """Return the plan after some sweeps with the kernel itself."""
    kernel = np.exp(-cost / reg)
    v = np.ones(len(b))
    with np.errstate(all="ignore"):
        for _ in range(sweeps):
            u = a / (kernel @ v + guard)
            v = b / (kernel.T @ u + guard)
        return u[:, None] * kernel * v


# %%
# On a line the cheapest plan of all is known: sand never overtakes sand. Its cost is a yardstick,
# as no plan that meets both curves can cost less.

levels = np.sort(np.concatenate([np.cumsum(a), np.cumsum(b)]))[:-1]
amounts = np.diff(levels, prepend=0)
middle = levels - amounts / 2
origin = x[np.minimum(np.searchsorted(np.cumsum(a), middle), n - 1)]
goal = x[np.minimum(np.searchsorted(np.cumsum(b), middle), n - 1)]
cheapest = np.sum(amounts * (origin - goal) ** 2)

regs = np.logspace(-1, -5, 17)
ours = [numopt.entropic_transport(cost, a, b, reg=reg).cost for reg in regs]
plain, guarded = (
    [np.sum(cost * textbook_sinkhorn(cost, a, b, reg, guard)) for reg in regs]
    for guard in (0.0, 1e-16)
)

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.axhline(cheapest, color="black", linestyle=":", label="cheapest plan there is")
ax.semilogx(regs, guarded, "s--", color="#d55e00", label="textbook, denominators + 1e-16")
ax.semilogx(regs, plain, "x", color="black", markersize=9, label="textbook (NaN where missing)")
ax.semilogx(regs, ours, "o-", color=numopt.plotting.SOURCE, markersize=4, label="numopt")
ax.set(xlabel="reg", ylabel="cost of the plan", ylim=0)
ax.invert_xaxis()
_ = ax.legend(loc="center right")

# %%
# Read the figure from left to right. With less regularization the true cost falls towards that of
# the cheapest plan. The unguarded textbook algorithm turns into NaN at some point, because
# ``exp(-cost / reg)`` is zero where it matters. The guarded one is worse: no NaN, no warning, and
# a cost *below the cheapest possible*. Its plan simply does not carry all the sand, as its sums
# show:

reg = 1e-3
guarded_plan = textbook_sinkhorn(cost, a, b, reg, 1e-16)
result = numopt.entropic_transport(cost, a, b, reg=reg)
for name, plan in (("guarded textbook", guarded_plan), ("numopt", result.plan())):
    error = abs(plan.sum(axis=1) - a).sum() + abs(plan.sum(axis=0) - b).sum()
    print(f"{name:17} cost {np.sum(cost * plan):.4f}, sums wrong by {error:.1e} of the sand")

# %%
# :func:`numopt.entropic_transport` never forms ``exp(-cost / reg)``. Whatever it returns comes
# with the same figure, measured on the answer: ``marginal_error``. ``success`` is true only if
# that meets the tolerance. The second figure, ``gap``, bounds how far the plan can be from
# optimal.

print(result.message)
print(
    f"success: {result.success}, marginal error {result.marginal_error:.1e}, gap {result.gap:.1e}"
)

# %%
# What a small value costs
# ------------------------
#
# Working with logarithms repairs the textbook algorithm (``method="sinkhorn"``), but makes it no
# faster: the number of sweeps grows in proportion to ``1 / reg``. The default method takes a few
# sweeps and then Newton steps, whose matrix is sparse *because* the plan is nearly a curve, and
# it approaches the target through larger values. One sweep and one Newton step take about one
# pass over the cost each, so passes are what to count.

regs = np.logspace(-1, -3, 5)
sweeps = [
    numopt.entropic_transport(cost, a, b, reg=r, method="sinkhorn", maxiter=5000) for r in regs
]
smaller = np.logspace(-1, -5, 9)
newton = [numopt.entropic_transport(cost, a, b, reg=r) for r in smaller]
print("all converged:", all(one.success for one in sweeps + newton))

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.loglog(regs, [one.n_passes for one in sweeps], "s--", color="#d55e00", label="sinkhorn")
ax.loglog(
    smaller,
    [one.n_passes for one in newton],
    "o-",
    color=numopt.plotting.SOURCE,
    label="sns (default)",
)
ax.set(xlabel="reg", ylabel="passes over the cost, to 1e-8", ylim=(5, 5000))
ax.invert_xaxis()
_ = ax.legend()

# %%
# Speed against accuracy
# ----------------------
#
# How long until the error is small? A callback can keep the time of every iterate. The third
# method, ``"sns-paper"``, is the algorithm as it was published: it keeps a share of the entries
# of the plan in the Newton matrix, which has to be chosen. With a twentieth it stops early here,
# and says so; with a fifth it gets there. The default method needs no such choice: it keeps what
# carries the mass of each row and column.

reg = 3e-3
runs = {
    "sns (default)": ("o-", numopt.plotting.SOURCE, {}),
    "sinkhorn": ("--", "#d55e00", {"method": "sinkhorn", "maxiter": 5000}),
    "sns-paper, density 0.05": ("^:", "#cc79a7", {"method": "sns-paper", "density": 0.05}),
    "sns-paper, density 0.2": ("v:", "#009e73", {"method": "sns-paper", "density": 0.2}),
}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, (style, color, options) in runs.items():
    trace = []

    def keep(state, trace=trace):
        """Note the time, the error and the regularization of an iterate."""
        trace.append((time.perf_counter(), state.marginal_error, state.reg))

    numopt.entropic_transport(cost, a, b, reg=reg, **options)  # the first call may compile
    begin = time.perf_counter()
    result = numopt.entropic_transport(cost, a, b, reg=reg, callback=keep, **options)
    print(f"{name}: {result.message}")
    moments = [1e3 * (moment - begin) for moment, _, at in trace if at == reg]
    errors = [error for _, error, at in trace if at == reg]
    ax.loglog(moments, errors, style, color=color, markersize=4, label=name)
ax.axhline(1e-8, color="0.3", linewidth=1, linestyle=(0, (6, 4)), label="tolerance")
ax.set(xlabel="milliseconds", ylabel="marginal error")
_ = ax.legend(loc="center left")

# %%
# The default method spends its first milliseconds at larger regularizations, which this figure
# leaves out. Along the whole way, with ``reg`` three hundred times smaller still, its error looks
# like this:

result = numopt.entropic_transport(cost, a, b, reg=1e-5)
ax = numopt.plotting.convergence(result, tol=1e-8)
ax.figure.set_size_inches(7, 3.6)
_ = ax.set_title(f"Sinkhorn-Newton-Sparse at reg = 1e-5: {result.n_passes} passes")

# %%
# In short: choose ``reg`` by what the answer is for, not by what the algorithm can bear. As a
# share of the largest cost, 0.1 blurs, 0.001 is sharp, and 0.0001 is close to no regularization.
# Then look at ``success``.
