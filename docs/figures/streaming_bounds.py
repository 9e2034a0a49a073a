"""What is said of the top eigenvalue and its vector while a stream is read."""

import matplotlib.pyplot as plt
import numpy as np

import numopt

rng = np.random.default_rng(0)
d = 60
A = rng.normal(size=(6000, d)) / np.arange(1, d + 1) ** 0.75
model = numopt.StreamingEigenvector(rng=0)
rows, lower, upper, truth, errors = [], [], [], [], []
for start in range(0, len(A), 200):
    result = model.partial_fit(A[start : start + 200]).result()
    seen = A[: start + 200]
    values, vectors = np.linalg.eigh(seen.T @ seen)
    rows.append(len(seen))
    lower.append(result.lambda1_bounds[0] / len(seen))
    upper.append(result.lambda1_bounds[1] / len(seen))
    truth.append(values[-1] / len(seen))
    apart = result.x - vectors[:, -1] * (vectors[:, -1] @ result.x)
    errors.append((apart @ apart, result.sin2_estimate, result.sin2_bound))
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.fill_between(rows, lower, upper, color="#3776ab", alpha=0.25, label="certified interval")
left.plot(rows, truth, color="#3776ab", label="largest eigenvalue / rows")
left.set(xlabel="rows read", ylim=(0, None))
left.legend(fontsize="small")
for values, color, label in zip(
    zip(*errors, strict=True),
    ("#3776ab", "#e07b39", "0.5"),
    ("true", "estimate", "bound"),
    strict=True,
):
    right.semilogy(rows, values, color=color, label=label)
right.set(xlabel="rows read", ylabel="squared sine")
right.legend(fontsize="small")
