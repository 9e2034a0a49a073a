"""Sketched solutions of two sizes with their intervals, and the exact one."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(2)
n, d = 60_000, 40
A = rng.standard_normal((n, d))
b = A @ np.exp(-(np.linspace(-2, 2, d) ** 2)) + 4 * rng.standard_normal(n)
exact = numopt.lstsq(A, b).x

figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.4), sharey=True)
for ax, eps in zip(axes, (0.6, 0.2), strict=True):
    rough = numopt.lstsq(A, b, method="sketch", eps=eps, rng=0)
    low, high = rough.sketch_interval(0.95)
    bound = rough.linf_bound
    place = np.arange(d)
    ax.fill_between(place, exact - bound, exact + bound, color="0.9", label="linf_bound")
    ax.vlines(place, low, high, color="#3776ab", linewidth=1)
    ax.plot(place, rough.x, "o", color="#3776ab", markersize=2.5, label="sketched, 95 %")
    ax.plot(place, exact, "_", color="black", markersize=5, label="exact")
    ax.set(title=f"eps = {eps}: {rough.stats['sketch_size']} of {n} rows", xlabel="coordinate")
axes[0].legend(loc="upper left", fontsize=6)
