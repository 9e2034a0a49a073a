"""Coefficients with error bars."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(2)
n, d = 20_000, 24
A = rng.standard_normal((n, d))
b = A @ np.exp(-(np.linspace(-2, 2, d) ** 2)) + 3 * rng.standard_normal(n)
rough = numopt.lstsq(A, b, method="sketch", eps=0.5, rng=0)
low, high = rough.sketch_interval(0.95)

figure, ax = plt.subplots(figsize=(4, 3))
ax.axhline(0, color="0.8", linewidth=1)
ax.vlines(np.arange(d), low, high, color="#3776ab", linewidth=3, alpha=0.6)
ax.plot(rough.x, "o", color="#3776ab")
ax.plot(numopt.lstsq(A, b).x, "_", color="#e07b39", markersize=12, markeredgewidth=3)
ax.axis("off")
