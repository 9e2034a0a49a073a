"""Mass carried from one histogram to another."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

position = np.linspace(0, 1, 160)
a = np.exp(-(((position - 0.3) / 0.1) ** 2)) + 0.6 * np.exp(-(((position - 0.75) / 0.06) ** 2))
b = np.exp(-(((position - 0.2) / 0.05) ** 2)) + np.exp(-(((position - 0.6) / 0.12) ** 2))
a, b = a / a.sum(), b / b.sum()
cost = (position[:, None] - position[None, :]) ** 2
plan = numopt.entropic_transport(cost, a, b, reg=1e-3).plan()

figure, axes = plt.subplots(
    2, 2, figsize=(4, 3), width_ratios=[1, 4], height_ratios=[1, 3], sharex="col", sharey="row"
)
axes[1, 1].pcolormesh(position, position, np.sqrt(plan), cmap="Blues", rasterized=True)
axes[0, 1].fill_between(position, b, color="#e07b39")
axes[1, 0].fill_betweenx(position, -a, color="#3776ab")
for ax in axes.flat:
    ax.axis("off")
