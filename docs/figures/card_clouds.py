"""A disk of points on its way to a spiral."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
n = 2000
radius, angle = np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
X = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
turn = np.sqrt(rng.uniform(0.05, 1, n)) * 3 * np.pi
Y = (turn / 9)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
Y += rng.normal(0, 0.02, Y.shape)
target = numopt.entropic_transport(numopt.PointCloudCost(X, Y), reg=1e-3).barycentric_map(Y)

figure, ax = plt.subplots(figsize=(4, 3))
for number, time in enumerate((0, 0.5, 1)):
    place = np.array([1.7, -1.0]) * number
    ax.scatter(*(place + (1 - time) * X + time * target).T, s=1.5, c=angle, cmap="twilight")
ax.set_aspect("equal")
ax.axis("off")
