"""
Heating a plate: a differential equation as a constraint
=========================================================

A plate is heated from below and loses heat at its edges and, the hotter it is, by radiation. Which
heating brings its temperature close to a given picture? The unknowns are the temperature *and* the
heating at every point of a grid, and the equation that ties them together is a constraint. There
are thousands of them, all sparse.
"""

# %%
# The equation
# ------------
#
# With temperature u and heating z, ``-Lap u + u**3 = z`` holds inside the plate and ``u = 0`` on
# its edge. On a grid of N by N points the Laplacian is a sparse matrix.

# sphinx_gallery_thumbnail_number = 2
import time

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.optimize import NonlinearConstraint

import numopt

N = 48
h = 1 / (N + 1)
second = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N))
laplace = (sp.kron(second, sp.eye_array(N)) + sp.kron(sp.eye_array(N), second)).tocsr()
M = N * N


def equation(x):
    """Return what is left of the equation, times ``h**2``."""
    u, z = x[:M], x[M:]
    return laplace @ u + h**2 * (u**3 - z)


def equation_jacobian(x):
    """Return its derivatives, a sparse matrix."""
    u = x[:M]
    left = laplace + sp.diags_array(3 * h**2 * u**2)
    return sp.hstack([left, -(h**2) * sp.eye_array(M)]).tocsr()


# %%
# What is wanted
# --------------
#
# A ring that is warm on a cold plate. Heating costs energy: ``alpha`` says how much that counts.

t = np.linspace(h, 1 - h, N)
X, Y = np.meshgrid(t, t, indexing="ij")
target = np.exp(-(((np.hypot(X - 0.5, Y - 0.5) - 0.28) / 0.09) ** 2)).ravel()


def solve(alpha, start=None):
    """Return the best temperature and heating for a price of heat."""

    def objective(x):
        return 0.5 * np.sum((x[:M] - target) ** 2) + 0.5 * alpha * np.sum(x[M:] ** 2)

    def gradient(x):
        return np.concatenate([x[:M] - target, alpha * x[M:]])

    def hessian(x, lam):
        diagonal = np.concatenate([1 + 6 * h**2 * x[:M] * lam, np.full(M, alpha)])
        return sp.diags_array(diagonal, format="csc")

    return numopt.minimize_equality(
        objective,
        np.zeros(2 * M) if start is None else start,
        jac=gradient,
        lagrangian_hess=hessian,
        constraints=NonlinearConstraint(equation, 0.0, 0.0, jac=equation_jacobian),
    )


def show(ax, values, title, cmap):
    """Draw a function on the plate."""
    image = ax.imshow(values.reshape(N, N).T, origin="lower", extent=(0, 1, 0, 1), cmap=cmap)
    ax.set_title(title, fontsize="medium")
    ax.axis("off")
    plt.colorbar(image, ax=ax, shrink=0.75)


begin = time.perf_counter()
result = solve(alpha=1e-6)
print(result.message)
print(f"{2 * M} unknowns, {M} equations, {time.perf_counter() - begin:.2f} s")

figure, ax = plt.subplots(figsize=(4, 3), layout="constrained")
show(ax, target, "the temperature that is wanted", "inferno")

# %%
# Temperature, heating, and the price of heat
# -------------------------------------------
#
# One call returns the temperature that was reached, the heating that does it, and the multipliers:
# at each point, how much the objective would change if a little more heat came from elsewhere.

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
show(axes[0], result.x[:M], "temperature u (state)", "inferno")
show(axes[1], result.x[M:], "heating z (control)", "RdBu_r")
show(axes[2], result.dual[0], "multiplier (price of heat)", "PuOr")

# %%
# How expensive may heating be?
# -----------------------------
#
# With dear heating the ring stays faint. Each solve starts from the result of the one before, which
# hands on multipliers and penalties, too.

alphas = 10.0 ** np.arange(-3, -8, -1)
misses, efforts, steps = [], [], []
previous = None
for alpha in alphas:
    previous = solve(alpha, previous)
    misses.append(np.sqrt(np.mean((previous.x[:M] - target) ** 2)))
    efforts.append(np.sqrt(np.mean(previous.x[M:] ** 2)))
    steps.append(previous.nit)

figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
ax.loglog(efforts, misses, "o-", color=numopt.plotting.SOURCE)
for effort, miss, alpha, count in zip(efforts, misses, alphas, steps, strict=True):
    ax.annotate(f"alpha = {alpha:.0e}, {count} steps", (effort, miss), xytext=(6, 4),
                textcoords="offset points", fontsize="small")  # fmt: skip
ax.set(xlabel="heating (root mean square)", ylabel="distance from the target")
ax.set_xlim(min(efforts) / 1.3, max(efforts) * 4)
ax.set_ylim(min(misses) / 1.5, max(misses) * 1.5)

# %%
# Convergence
# -----------
#
# Near the solution every step has full length and about squares the error. Larger grids take no
# more steps; what grows is the time to factor the sparse matrix.

ax = numopt.plotting.convergence(result, tol=1e-8)
_ = ax.set_title("residual of the optimality conditions")
