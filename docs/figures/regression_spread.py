"""Errors of ten seeds on the instance that is hard for CountSketch."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

d, m = 64, 1024
A, b = np.eye(4 * m, d), np.zeros(4 * m)
b[d : d + m // d] = (m // d) ** -0.5

figure, axes = plt.subplots(1, 2, figsize=(6.5, 1.9), sharey=True)
for ax, sketch, title in zip(axes, ("srht", "countsketch"), ("SRHT", "CountSketch"), strict=True):
    errors = [
        numopt.lstsq(A, b, method="sketch", sketch=sketch, sketch_size=m, rng=seed).x
        for seed in range(10)
    ]
    image = ax.imshow(errors, cmap="RdBu", vmin=-0.25, vmax=0.25, aspect="auto")
    ax.set(title=title, xlabel="coordinate")
axes[0].set_ylabel("seed")
figure.colorbar(image, ax=axes, label="error")
