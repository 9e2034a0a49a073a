"""A noisy cloud of very many points, and the curve through it."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
t = rng.uniform(-1, 1, 50_000)
noise = rng.normal(0, 0.25, t.size)
y = np.sin(4 * t) * np.exp(-t) / 2 + noise
fit = numopt.lstsq(np.polynomial.chebyshev.chebvander(t, 12), y, rng=0)

figure, ax = plt.subplots(figsize=(4, 3))
ax.hexbin(t, y, gridsize=60, cmap="Oranges", bins="log", linewidths=0.1, extent=(-1, 1, -2, 2))
along = np.linspace(-1, 1, 300)
ax.plot(along, np.polynomial.chebyshev.chebval(along, fit.x), color="#3776ab", linewidth=3)
ax.set_ylim(-2, 2)
ax.axis("off")
