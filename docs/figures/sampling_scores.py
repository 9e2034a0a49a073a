"""Scores of the rows of a matrix of Chebyshev polynomials, p = 4."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

t = np.linspace(-1, 1, 400)
A = np.polynomial.chebyshev.chebvander(t, 7)
figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
kinds = {"sensitivity": "#3776ab", "lewis": "#e07b39", "leverage": "#009e73"}
for kind, color in kinds.items():
    ax.semilogy(t, numopt.lp_scores(A, 4, kind=kind).scores, color=color, label=kind)
ax.set(xlabel="point of the row", ylabel="score")
ax.legend(fontsize="small", loc="upper center")
