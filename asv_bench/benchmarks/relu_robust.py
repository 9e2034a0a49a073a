"""Accuracy under attack: convex training next to adversarial training of networks as wide.

All networks see the same samples, loss and weight decay, and are judged on fresh samples: clean,
after one step along the gradient, after projected gradient ascent with restarts, and by the share
that is proved safe. The proof is one for any two-layer network, so that none has an advantage:
hidden units are replaced by the linear bounds that hold for all perturbations of a sample, and
what is left has its minimum over a box in closed form.
"""

from typing import NamedTuple

import numpy as np

import numopt

BETA, PATTERNS = 1.0, 24
RADII = {"wide": (0.02, 0.05, 0.1), "digits": (0.02, 0.05)}
TRAINING_STEPS, ATTACK_STEPS, RATES = 400, 7, (1e-3, 1e-2)


class Samples(NamedTuple):
    X: np.ndarray
    y: np.ndarray


def wide(n, rng, features=1000, relevant=40):
    """Return samples around two centers that differ a little in few of many features."""
    y = rng.choice([-1.0, 1.0], n)
    center = np.where(np.arange(features) < relevant, 0.35, 0.0)
    return Samples(y[:, None] * center + rng.normal(size=(n, features)), y)


def digits(rng):
    """Return scanned threes and eights, 8 by 8 pixels from 0 to 1, in two halves."""
    from sklearn.datasets import load_digits

    X, label = load_digits(return_X_y=True)
    kept = rng.permutation(np.flatnonzero((label == 3) | (label == 8)))
    X, y = X[kept] / 16, np.where(label[kept] == 3, 1.0, -1.0)
    return Samples(X[::2], y[::2]), Samples(X[1::2], y[1::2])


def drawn(name, seed):
    """Return samples to train on and fresh ones."""
    rng = np.random.default_rng(seed)
    return (wide(200, rng), wide(1000, rng)) if name == "wide" else digits(rng)


def rows(names=tuple(RADII), seed=0):
    """Yield one row for each network and radius."""
    for name in names:
        train, fresh = drawn(name, seed)
        for eps in RADII[name]:
            networks = {
                "convex": convex(train, 0.0, "pattern"),
                "convex, robust patterns": convex(train, eps, "pattern"),
                "convex, Lipschitz": convex(train, eps, "lipschitz"),
            }
            width = max(1, networks["convex"][0].shape[1])
            networks["gradient training"] = trained(train, 0.0, width, seed)
            networks["adversarial training"] = trained(train, eps, width, seed)
            for training, (W1, w2) in networks.items():
                yield {
                    "data": name,
                    "radius": eps,
                    "training": training,
                    "units": W1.shape[1],
                    **judged(W1, w2, fresh, eps),
                }


def convex(train, eps, robust):
    """Return the network of the convex program, at a gap of a percent or after 3000 iterations."""
    result = numopt.convex_relu(
        *train,
        beta=BETA,
        loss="hinge",
        n_patterns=PATTERNS,
        eps=eps,
        robust=robust,
        tol=1e-2,
        maxiter=3000,
        rng=0,
    )
    return result.W1, result.w2


def trained(train, eps, width, seed):
    """Return a network trained by Adam on attacked samples (Madry et al. 2018), best of two rates.

    The objective is that of the convex program, and decides between the rates.
    """
    import torch

    X = torch.from_numpy(np.c_[train.X, np.ones(len(train.X))])
    y = torch.from_numpy(train.y)
    reach = torch.full((X.shape[1],), eps, dtype=X.dtype)
    reach[-1] = 0
    found = []
    for rate in RATES:
        torch.manual_seed(seed)
        W1 = torch.randn(X.shape[1], width, dtype=X.dtype) / X.shape[1] ** 0.5
        w2 = torch.randn(width, dtype=X.dtype) / width**0.5
        W1.requires_grad_(), w2.requires_grad_()
        optimizer = torch.optim.Adam([W1, w2], lr=rate)
        for _ in range(TRAINING_STEPS):
            moved = attacked(X, y, W1, w2, reach) if eps else X
            loss = objective(moved, y, W1, w2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        moved = attacked(X, y, W1, w2, reach) if eps else X
        value = objective(moved, y, W1, w2).item()
        found.append((value, W1.detach().numpy(), w2.detach().numpy()))
    return min(found, key=lambda item: item[0])[1:]


def objective(X, y, W1, w2):
    import torch

    margin = y * (torch.relu(X @ W1) @ w2)
    return torch.relu(1 - margin).sum() + 0.5 * BETA * ((W1**2).sum() + (w2**2).sum())


def attacked(X, y, W1, w2, reach):
    """Return samples after projected gradient ascent from a random start in the box."""
    import torch

    shift = (2 * torch.rand_like(X) - 1) * reach
    for _ in range(ATTACK_STEPS):
        shift.requires_grad_()
        margin = (y * (torch.relu((X + shift) @ W1.detach()) @ w2.detach())).sum()
        slope = torch.autograd.grad(margin, shift)[0]
        shift = (shift.detach() - 2.5 / ATTACK_STEPS * reach * slope.sign()).clamp(-reach, reach)
    return X + shift


def judged(W1, w2, fresh, eps):
    """Return accuracies in percent."""
    X, y = fresh
    options = {"eps": eps, "rng": 0}
    one = numopt.network_attack(W1, w2, X, y, kind="fgsm", **options)
    many = numopt.network_attack(W1, w2, X, y, kind="pgd", steps=40, restarts=5, **options)

    def accuracy(points):
        return f"{100 * np.mean(y * output(points, W1, w2) > 0):.1f}"

    safe = lower_margins(X, y, W1, w2, eps) > 0 if W1.shape[1] else np.zeros(len(y), bool)
    return {
        "clean": accuracy(X),
        "FGSM": accuracy(one),
        "PGD": accuracy(many),
        "proved": f"{100 * np.mean(safe):.1f}",
    }


def output(X, W1, w2):
    return np.maximum(X @ W1[:-1] + W1[-1], 0) @ w2


def lower_margins(X, y, W1, w2, eps):
    """Return a lower bound (n,) of the margin ``y f(x)`` over the box around each sample."""
    hidden, bias = W1[:-1], W1[-1]
    middle = X @ hidden + bias
    radius = eps * np.abs(hidden).sum(axis=0)
    low, high = middle - radius, middle + radius
    weight = y[:, None] * w2
    on, off = low >= 0, high <= 0
    share = np.where(on, 1.0, np.where(off, 0.0, high / np.where(high > low, high - low, 1)))
    # A unit that adds to the margin is at least `slope` times its input, the better of the two
    # slopes by area; one that subtracts is at most the chord.
    steep = (high > -low).astype(float)
    slope = np.where(weight >= 0, np.where(on, 1.0, np.where(off, 0.0, steep)), share)
    offset = np.where((weight < 0) & ~on & ~off, -share * low, 0.0)
    center = (weight * (slope * middle + offset)).sum(axis=1)
    pull = (weight * slope) @ hidden.T
    return center - eps * np.abs(pull).sum(axis=1)
