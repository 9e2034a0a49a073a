"""A plan with its two marginals."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

position = np.linspace(0, 1, 200)
a = np.exp(-(((position - 0.25) / 0.08) ** 2))
b = np.exp(-(((position - 0.60) / 0.05) ** 2)) + np.exp(-(((position - 0.85) / 0.03) ** 2))
a, b = a / a.sum(), b / b.sum()
cost = (position[:, None] - position[None, :]) ** 2
result = numopt.entropic_transport(cost, a, b, reg=1e-3)

figure, axes = plt.subplots(
    2, 2, figsize=(3.8, 3.8), width_ratios=[1, 4], height_ratios=[1, 4], sharex="col", sharey="row"
)
axes[0, 0].axis("off")
axes[1, 1].pcolormesh(position, position, np.sqrt(result.plan()), cmap="Blues", rasterized=True)
axes[1, 1].set_xlabel("to")
axes[0, 1].fill_between(position, b, color="#e07b39")
axes[0, 1].set_yticks([])
axes[1, 0].fill_betweenx(position, -a, color="#3776ab")
axes[1, 0].set_xticks([])
axes[1, 0].set_ylabel("from")
