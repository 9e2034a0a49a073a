"""
How many digits of a fit are right?
===================================

Least squares is often solved by the normal equations, in one line. That loses twice as many digits
as the problem itself does, and nothing says so. This example fits polynomials of growing degree,
whose columns become more and more alike, and measures what several methods return, against
solutions computed with eighty digits.
"""

# %%
# Polynomials in powers
# ---------------------
#
# Two hundred points on a curve, with a little noise, and all powers of the position as columns. On
# [0, 1] high powers look the same: the condition number grows about sixfold with each degree.

# sphinx_gallery_thumbnail_number = 3
import decimal

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
t = np.linspace(0, 1, 200)
b = np.sin(7 * t) + 1 / (1 + 20 * (t - 0.4) ** 2) + 0.05 * rng.standard_normal(t.size)
degrees = np.arange(1, 19)
designs = [np.vander(t, degree + 1, increasing=True) for degree in degrees]
conditions = [np.linalg.cond(A / np.linalg.norm(A, axis=0)) for A in designs]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.plot(t, b, ".", color="0.6")
for degree, color in ((3, "#d55e00"), (10, numopt.plotting.SOURCE)):
    fit = numopt.lstsq(designs[degree - 1], b)
    left.plot(t, designs[degree - 1] @ fit.x, color=color, label=f"degree {degree}")
left.set(xlabel="position")
left.legend()
right.semilogy(degrees, conditions, "k.-")
_ = right.set(xlabel="degree", ylabel="condition number", xticks=[2, 6, 10, 14, 18])

# %%
# What is right
# -------------
#
# The normal equations *are* right in exact arithmetic, and with eighty digits nearly so. That is
# far too slow for anything but a yardstick. A second yardstick is the **backward error**: how much
# A and b would have to change, relative to A, for the answer to be exact. No method in double
# precision can do better than about 1e-16 there.


def exact_solution(A, b, digits=80):
    """Solve the normal equations by elimination, with many digits."""
    with decimal.localcontext(prec=digits):
        exact = np.vectorize(decimal.Decimal, otypes=[object])
        A, b = exact(A), exact(b)
        system = np.concatenate([A.T @ A, (A.T @ b)[:, None]], axis=1)
        for k in range(len(system)):
            system[k] = system[k] / system[k, k]
            for j in range(len(system)):
                if j != k:
                    system[j] = system[j] - system[j, k] * system[k]
        return system[:, -1].astype(float)


def backward_error(A, b, x):
    """Estimate the smallest change of A and b, relative to A, that makes x exact."""
    residual = (b - A.astype(np.longdouble) @ x).astype(float)
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    norm = np.linalg.norm(s)
    theta = norm / np.linalg.norm(b)
    scale = 1 + (theta * np.linalg.norm(x)) ** 2
    shift = (theta * np.linalg.norm(residual)) ** 2 / scale
    z = s * (U.T @ residual) / np.sqrt(s**2 + shift)
    return theta / np.sqrt(scale) * np.linalg.norm(z) / norm


def largest_relative_error(x, truth):
    """Return the largest relative error of a coefficient; at most 1 is shown."""
    return min(1.0, np.max(abs(x - truth) / abs(truth)))


truths = [exact_solution(A, b) for A in designs]

# %%
# Four ways to solve
# ------------------

solvers = {
    "normal equations": lambda A: np.linalg.solve(A.T @ A, A.T @ b),
    "LAPACK gelsd": lambda A: np.linalg.lstsq(A, b, rcond=1e-18)[0],
    "numopt, cholqr": lambda A: numopt.lstsq(A, b, method="cholqr", precision="working", rng=0).x,
    "numopt, extended": lambda A: numopt.lstsq(A, b, method="direct", precision="extended").x,
}
colors = ("#d55e00", "0.35", numopt.plotting.SOURCE, "#009e73")
markers = ("x-", "s-", "o-", "^-")
found = {name: [solve(A) for A in designs] for name, solve in solvers.items()}


def compare(ax, measure):
    """Draw a figure of merit of every solver as the condition number grows."""
    for (name, xs), color, marker in zip(found.items(), colors, markers, strict=True):
        errors = [measure(k, x) for k, x in enumerate(xs)]
        ax.loglog(conditions, errors, marker, color=color, markersize=4, label=name)
    ax.set(xlabel="condition number")


figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
compare(ax, lambda k, x: backward_error(designs[k], b, x))
ax.axhline(2.2e-16, color="black", linewidth=1, linestyle="--")
ax.set_ylabel("backward error")
_ = ax.legend()

# %%
# The normal equations leave the dashed line, the rounding unit, at once: their backward error grows
# with the condition number. The others stay at it or below. numopt stops because it has *measured*
# that; the estimate is ``result.backward_error``, and ``success`` follows from it.
#
# A small backward error is all a method can do about rounding in A and b. The error of the
# *coefficients* is about the condition number times as large:

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
compare(ax, lambda k, x: max(1e-17, largest_relative_error(x, truths[k])))
ax.loglog(conditions, 1e-16 * np.array(conditions), "k:", label="1e-16 x condition number")
ax.set(ylabel="largest relative error of a coefficient", ylim=(3e-18, 3))
_ = ax.legend(loc="upper left")

# %%
# With the normal equations nothing is left at a condition number of 1e8, and no warning was given.
# LAPACK keeps half of the digits there. If A and b are taken as exact numbers, more can be had:
# with ``precision="extended"`` the residuals are computed as if in twice the precision. Every digit
# of every coefficient is then right up to a condition number of about 1e8, and seven are at 1e13:
# where the points do not lie on the curve, the error grows with the square of the condition number
# times the *squared* rounding unit. For problems as small as this one that is the default.
#
# How the refinement gets there
# -----------------------------
#
# Each correction solves for the error of the one before, from a residual that is computed anew.
# ``forward_error`` is the size of the next one.

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for degree, color in ((6, "0.6"), (10, numopt.plotting.SOURCE), (14, "#009e73"), (17, "#d55e00")):
    k = degree - 1
    result = numopt.lstsq(designs[k], b, method="cholqr", precision="extended", rng=0)
    errors = [max(1e-17, record["forward_error"]) for record in result.history]
    ax.semilogy(errors, "o-", color=color, label=f"condition number {conditions[k]:.0e}")
    print(result.message)
ax.set(xlabel="corrections", ylabel="estimated relative error", xticks=range(6))
_ = ax.legend()

# %%
# All this concerns the solution of the problem as it is written. A better basis, such as Chebyshev
# polynomials, would have made it well-conditioned in the first place:

chebyshev = np.polynomial.chebyshev.chebvander(2 * t - 1, 18)
fit = numopt.lstsq(chebyshev, b)
print(f"condition number {fit.cond_estimate:.1f}, {fit.message}")
