"""Points with outliers, fitted by three powers and by three quantiles."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(3)
t = np.sort(rng.uniform(0, 10, 120))
y = 1 + 0.5 * t + (0.15 + 0.08 * t) * rng.normal(size=t.size)
y[-6:] -= 6
A = np.column_stack([np.ones_like(t), t])
ends = np.array([[1.0, 0.0], [1.0, 10.0]])

figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.8), sharey=True, layout="constrained")
fits = {
    axes[0]: [(f"p = {p}", numopt.lp_regression(A, y, p)) for p in (1, 2, 8)],
    axes[1]: [(f"{q:g}", numopt.lp_regression(A, y, quantile=q)) for q in (0.1, 0.5, 0.9)],
}
for ax, results in fits.items():
    ax.plot(t, y, ".", color="0.6", markersize=4)
    for (label, result), color in zip(results, ("#3776ab", "#e07b39", "#009e73"), strict=True):
        ax.plot([0, 10], ends @ result.x, color=color, label=label)
    ax.legend(fontsize="small", loc="upper left")
axes[0].set_title("powers", fontsize="medium")
axes[1].set_title("quantiles", fontsize="medium")
