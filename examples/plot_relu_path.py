"""
A path of weight decays
=======================

How large should the weight decay be? :func:`~numopt.convex_relu_path` solves for many values
under the same patterns. As every point of the path is certified, its shape is that of the model,
not of an optimizer.
"""

# %%
# From where on the network is zero
# ---------------------------------
#
# The data are 442 patients of the diabetes study: ten measurements, and how the disease progressed.
# Above ``beta_max`` the best network is the zero network.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import numopt

X, y = load_diabetes(return_X_y=True)
X, y = X / X.std(axis=0), (y - y.mean()) / y.std()
order = np.random.default_rng(0).permutation(len(y))
train, test = order[:300], order[300:]

options = {"n_patterns": 10, "rng": 0}
beta_max = numopt.convex_relu_beta_max(X[train], y[train], **options)
print(f"beta_max = {beta_max:.1f}")

# %%
# The path
# --------

betas = beta_max * np.geomspace(1, 1e-3, 10)
path = numopt.convex_relu_path(X[train], y[train], betas, **options)
print(all(result.success for result in path), max(result.gap for result in path))

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
norms = np.array(
    [
        np.concatenate([np.linalg.norm(r.coef_pos, axis=0), -np.linalg.norm(r.coef_neg, axis=0)])
        for r in path
    ]
)
ax.semilogx(betas, norms, color="0.5", linewidth=0.8)
ax.invert_xaxis()
ax.set(xlabel="beta", ylabel="signed norm of each neuron")
_ = ax.set_title("Neurons grow as the weight decay falls")

# %%
# Which value generalizes
# -----------------------
#
# The error on the training samples falls all along the path, that on the others does not.

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for label, rows in (("training samples", train), ("other samples", test)):
    errors = [np.mean((r.predict(X[rows]) - y[rows]) ** 2) for r in path]
    ax.semilogx(betas, errors, marker="o", label=label)
ax.invert_xaxis()
ax.set(xlabel="beta", ylabel="mean squared error")
_ = ax.legend()

# %%
# What the certificates say
# -------------------------
#
# Upper and lower bound of the optimum at each value: the two curves cannot be told apart, and
# that is the point.

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.loglog(betas, [r.fun for r in path], label="upper bound")
ax.loglog(betas, [r.dual_fun for r in path], "--", label="lower bound")
ax.invert_xaxis()
ax.set(xlabel="beta", ylabel="objective")
_ = ax.legend()

# %%
# More patterns
# -------------
#
# The gap is about the patterns drawn. Column generation adds those that would help most.

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
beta = betas[5]
values = [
    numopt.convex_relu(X[train], y[train], beta=beta, n_patterns=8, refine=k, rng=0).fun
    for k in range(3)
]
ax.plot(range(3), values, marker="o")
ax.set(xlabel="rounds of column generation", ylabel="objective", xticks=range(3))
result = path[5]
