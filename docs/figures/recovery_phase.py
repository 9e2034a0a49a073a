"""Share of recoveries over corruption and measurements, from the recorded table."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

path = Path(numopt.__file__).parents[1] / "docs/figures/recovery_phase.json"
rows = json.loads(path.read_text())["rows"]
columns = [key for key in rows[0] if key.isdigit()]
figure, axes = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True, layout="constrained")
for ax, rank in zip(axes, dict.fromkeys(row["case"] for row in rows), strict=True):
    chosen = [row for row in rows if row["case"] == rank]
    solved = np.array([[int(row[key].split(":")[0]) for key in columns] for row in chosen])
    ax.imshow(solved, cmap="Blues", vmin=0, vmax=5, origin="lower", aspect="auto")
    for (i, j), count in np.ndenumerate(solved):
        ax.text(j, i, count, ha="center", va="center", color="w" if count > 2 else "k", size=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(chosen)), [f"{float(row['share']):.0%}" for row in chosen])
    ax.set(xlabel="measurements / (d r)", title=f"columns of the factor: {rank[2:]}")
axes[0].set_ylabel("wrong")
