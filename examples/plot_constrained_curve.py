"""
Steps along a curve
===================

What an equality constraint does to Newton's method can be seen in two dimensions: the lowest point
of a valley, but on a curve. This example shows the path of the iterates, what the multiplier means,
what happens where the constraints cannot be satisfied, and how far row sketches get.
"""

# %%
# The path
# --------
#
# The function is Rosenbrock's, the constraint a circle. Derivatives are written out; without them
# finite differences would do.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import NonlinearConstraint

import numopt


def valley(x):
    """Return the height."""
    return (1 - x[0]) ** 2 + 5 * (x[1] - x[0] ** 2) ** 2


def slope(x):
    """Return its gradient."""
    gap = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 20 * x[0] * gap, 10 * gap])


def curvature(x, lam):
    """Return the Hessian of the Lagrangian."""
    H = np.array([[2 - 20 * x[1] + 60 * x[0] ** 2, -20 * x[0]], [-20 * x[0], 10.0]])
    return H + 2 * lam[0] * np.eye(2)


def circle(radius):
    """Return the constraint to be on a circle around zero."""
    return NonlinearConstraint(lambda x: x @ x, radius**2, radius**2, jac=lambda x: 2 * x)


def solve(radius=1.5, start=(1.9, -0.6), **options):
    """Return the lowest point on a circle."""
    return numopt.minimize_equality(
        valley,
        start,
        jac=slope,
        lagrangian_hess=curvature,
        constraints=circle(radius),
        **options,
    )


path = []
result = solve(callback=lambda intermediate_result: path.append(intermediate_result.x))
print(result.message)

x, y = np.meshgrid(np.linspace(-2.2, 2.2, 300), np.linspace(-1.9, 2.6, 300))
figure, ax = plt.subplots(figsize=(5.5, 4.6), layout="constrained")
height = np.log10(valley(np.stack([x, y])) + 1e-2)
ax.contourf(x, y, height, levels=25, cmap="Greys_r", alpha=0.75)
angle = np.linspace(0, 2 * np.pi, 200)
ax.plot(1.5 * np.cos(angle), 1.5 * np.sin(angle), color=numopt.plotting.SOURCE, linewidth=2)
ax.plot(*np.transpose(path), "o-", color=numopt.plotting.TARGET, markersize=5)
for k, point in enumerate(path):
    ax.annotate(str(k), point, xytext=(5, 3), textcoords="offset points", fontsize="small")
ax.plot(*result.x, "*", color=numopt.plotting.TARGET, markersize=15)
_ = ax.set(aspect="equal", title="iterates on their way to the lowest point of the circle")

# %%
# What the multiplier says
# ------------------------
#
# Enlarge the circle a little: the lowest value on it changes at the rate ``-dual`` for each unit of
# the right side. ``kkt_solve`` gives the rate of the point itself. Both are tangents of what many
# solves would draw.

radii = np.linspace(0.9, 2.0, 40)
values = [solve(radius, result.x).fun for radius in radii]
squares = radii**2
figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
ax.plot(squares, values, color="0.3", label="lowest value, from 40 solves")
here = np.array([-0.8, 0.8])
ax.plot(1.5**2 + here, result.fun - result.dual[0][0] * here, color=numopt.plotting.TARGET,
        label="tangent from the multiplier of one")  # fmt: skip
ax.plot(1.5**2, result.fun, "o", color=numopt.plotting.TARGET)
ax.set(xlabel="squared radius", ylabel="value")
ax.legend()

dx, dlam = result.kkt_solve(np.zeros(2), np.array([1.0]))
moved = solve(np.sqrt(1.5**2 + 1e-5), result.x).x
print("rate of the point:  ", dx)
print("from two solves:    ", (moved - result.x) / 1e-5)

# %%
# Constraints that contradict each other
# --------------------------------------
#
# Two circles that do not meet have no common point. The solver ends where they are closest to being
# satisfied, and says so: ``status`` is 5 and ``success`` is False.

apart = [
    circle(1.0),
    NonlinearConstraint(
        lambda x: (x[0] - 3) ** 2 + x[1] ** 2,
        1.0,
        1.0,
        jac=lambda x: np.array([2 * (x[0] - 3), 2 * x[1]]),
    ),
]
failed = numopt.minimize_equality(valley, [0.5, 1.0], jac=slope, constraints=apart)
print(failed.message)

figure, ax = plt.subplots(figsize=(5.5, 2.9), layout="constrained")
for center in (0, 3):
    ax.plot(center + np.cos(angle), np.sin(angle), color=numopt.plotting.SOURCE)
ax.plot(*failed.x, "X", color=numopt.plotting.TARGET, markersize=10, label="returned, status 5")
ax.set(aspect="equal")
_ = ax.legend()

# %%
# How far row sketches get
# ------------------------
#
# The paper behind the method solves the Newton systems by projecting onto one row at a time. Below
# is what that costs by the published rules and by those used here. A factorization replaces
# thousands of rows at these sizes, which is why nothing is sketched unless ``sketch`` asks for it.

counts = {}
for method in ("published", "auto"):
    run = solve(method=method, sketch="kaczmarz", tol=1e-4, rng=0)
    counts[method] = (
        np.cumsum([record["inner"] for record in run.history]),
        [record["error"] for record in run.history],
    )
figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
for (method, (rows, errors)), color in zip(
    counts.items(), (numopt.plotting.TARGET, numopt.plotting.SOURCE), strict=True
):
    ax.plot(np.maximum(rows, 1), errors, "o-", color=color, label=f'method="{method}"')
ax.set(xscale="log", yscale="log", xlabel="rows projected onto", ylabel="residual")
_ = ax.legend()
