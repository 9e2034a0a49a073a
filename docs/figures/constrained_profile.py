"""Performance profile: share of the named problems solved within a multiple of the best count."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

# Run from its own folder by the site and from anywhere by hand.
here = Path(__file__).parent if "__file__" in globals() else Path()
rows = json.loads((here / "constrained_named.json").read_text())["rows"]
problems = list(dict.fromkeys(row["problem"] for row in rows))
solvers = list(dict.fromkeys(row["solver"] for row in rows))
calls = np.full((len(solvers), len(problems)), np.inf)
for row in rows:
    if row["residual"] <= 1e-8:
        calls[solvers.index(row["solver"]), problems.index(row["problem"])] = row["c_evaluations"]
best = calls.min(axis=0)
solvable = np.isfinite(best)
ratio = calls[:, solvable] / best[solvable]

styles = {"numopt": ("#3776ab", "-"), "ipopt": ("#d55e00", "--"), "trust-constr": ("#009e73", "-.")}
figure, ax = plt.subplots(figsize=(5, 2.9))
factors = np.geomspace(1, 64, 400)
for solver, ratios in zip(solvers, ratio, strict=True):
    color, dash = styles.get(solver, ("#cc79a7", ":"))
    share = (ratios[:, None] <= factors).sum(axis=0) / len(problems)
    ax.step(factors, share, where="post", color=color, linestyle=dash, label=solver)
ax.set_xscale("log", base=2)
ax.set(xlabel="evaluations of c, as a multiple of the best solver's", xlim=(1, 64), ylim=(0, 1))
ax.set_ylabel("share of the 60 problems")
ax.xaxis.set_major_formatter("{x:g}")
ax.legend(loc="lower right")
