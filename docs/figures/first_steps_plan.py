"""The plan of the first steps, with its two marginals."""

import numpy as np

import numopt

position = np.linspace(0, 1, 200)
a = np.exp(-(((position - 0.25) / 0.08) ** 2))
b = np.exp(-(((position - 0.60) / 0.05) ** 2)) + np.exp(-(((position - 0.85) / 0.03) ** 2))
a, b = a / a.sum(), b / b.sum()
cost = (position[:, None] - position[None, :]) ** 2
result = numopt.entropic_transport(cost, a, b, reg=1e-3)
numopt.plotting.transport_plan(result)
