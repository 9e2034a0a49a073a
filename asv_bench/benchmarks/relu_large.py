"""A table as large as MNIST: time and memory of the convex program, next to Adam.

60000 samples of 784 features in float32, the labels those of a random network with noise, and 100
patterns. Each contender runs in a process of its own, so that its peak of memory is its own.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SHAPE, PATTERNS, SHARE, TOL, MAXITER = (60_000, 784), 100, 0.02, 0.05, 400
SMALL = (300, 8)
ADAM_RATES, ADAM_SECONDS = (1e-3, 3e-3), 60.0


def made(shape):
    """Return samples, labels and gates."""
    rng = np.random.default_rng(0)
    n, d = shape
    X = rng.standard_normal((n, d), dtype=np.float32) / np.float32(d**0.5)
    W = rng.standard_normal((d, 16), dtype=np.float32)
    z = np.maximum(X @ W, 0) @ rng.standard_normal(16, dtype=np.float32)
    y = z - z.mean() + 0.5 * rng.standard_normal(n, dtype=np.float32)
    gates = rng.standard_normal((d, PATTERNS), dtype=np.float32)
    return X, (y / y.std()).astype(np.float32), gates


def convex(X, y, gates, _target):
    """Return seconds, the objective of the network and how far it may be from the optimum."""
    import numopt

    slopes = X.T @ (y[:, None] * (X @ gates >= 0))
    beta = SHARE * float(np.linalg.norm(slopes, axis=0).max())
    began = time.perf_counter()
    result = numopt.convex_relu(
        X,
        y,
        beta=beta,
        patterns=gates,
        fit_intercept=False,
        tol=TOL,
        maxiter=MAXITER,
        polish=False,
    )
    seconds = time.perf_counter() - began
    value = float(objective(X, y, beta, result.W1, result.w2))
    return seconds, value, f"{result.nit} iterations, estimated gap {result.gap:.1e}", beta


def adam(X, y, gates, target):
    """Return seconds to the target, or the best value there is when time is up."""
    import torch

    (goal, beta), patience = target, 1.0 if len(X) == SMALL[0] else ADAM_SECONDS
    Xt, yt = torch.from_numpy(X), torch.from_numpy(y)
    best, began = float("inf"), time.perf_counter()
    for rate in ADAM_RATES:
        torch.manual_seed(0)
        units = 2 * gates.shape[1]
        W1 = (torch.randn(X.shape[1], units) / units**0.5).requires_grad_()
        w2 = (torch.randn(units) / units**0.5).requires_grad_()
        optimizer, start = torch.optim.Adam([W1, w2], lr=rate), time.perf_counter()
        while time.perf_counter() - start < patience:
            z = torch.relu(Xt @ W1) @ w2
            value = 0.5 * ((z - yt) ** 2).sum() + 0.5 * beta * ((W1**2).sum() + (w2**2).sum())
            best = min(best, value.item())
            if best <= goal:
                return time.perf_counter() - start, best, f"rate {rate:g}", beta
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return time.perf_counter() - began, best, "not as good when time was up", beta


def objective(X, y, beta, W1, w2):
    """Return the objective of a network in double precision."""
    z = np.maximum(X @ W1, 0).astype(float) @ w2.astype(float)
    decay = (W1.astype(float) ** 2).sum() + (w2.astype(float) ** 2).sum()
    return 0.5 * ((z - y) ** 2).sum() + 0.5 * beta * decay


CONTENDERS = {"numopt": convex, "Adam": adam}


def rows(small=False):
    """Yield a row for each contender."""
    target, n, d = None, *(SMALL if small else SHAPE)
    for name in CONTENDERS:
        command = [sys.executable, "-m", "benchmarks.relu_large", name, str(int(small))]
        done = subprocess.run(
            [*command, json.dumps(target)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        seconds, value, note, beta, peak = json.loads(done.stdout.splitlines()[-1])
        target = target or (value, beta)
        yield {
            "size": f"{n} x {d}, {PATTERNS} patterns, float32",
            "solver": name,
            "time": f"{seconds:.1f}",
            "value": f"{value:.5g}",
            "note": note,
            "GB": f"{peak:.2f}",
        }


def main():
    name, small, target = sys.argv[1], sys.argv[2] == "1", json.loads(sys.argv[3])
    found = CONTENDERS[name](*made(SMALL if small else SHAPE), target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([*found, peak]))


if __name__ == "__main__":
    main()
