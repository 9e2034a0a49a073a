"""The plan between two densities at three regularizations."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

position = np.linspace(0, 1, 200)
a = np.exp(-(((position - 0.3) / 0.1) ** 2)) + 0.6 * np.exp(-(((position - 0.75) / 0.06) ** 2))
b = np.exp(-(((position - 0.2) / 0.05) ** 2)) + np.exp(-(((position - 0.6) / 0.12) ** 2))
a, b = a / a.sum(), b / b.sum()
cost = (position[:, None] - position[None, :]) ** 2

figure, axes = plt.subplots(1, 3, figsize=(6.5, 2.4), sharey=True)
for ax, reg in zip(axes, (1e-1, 1e-2, 1e-4), strict=True):
    plan = numopt.entropic_transport(cost, a, b, reg=reg).plan()
    ax.pcolormesh(position, position, np.sqrt(plan), cmap="Blues", rasterized=True)
    ax.set(title=f"reg = {reg:g}", aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
