"""Optimal transport."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import rel_entr

import numopt

from .common import DATA, TOL, Check, Row, timed


def rebuilt(cost, a, b, reg, result) -> tuple[float, float, float]:
    """Rebuild a plan from its potentials: error of its sums, and values of both problems.

    The primal value is that of a plan next to it whose sums are right: rows and columns scaled down
    to the masses, and what is then missing added as a rank-one matrix. No plan has a smaller value
    than the dual one, so the two enclose the optimum.
    """
    f, g = result.f, result.g
    with np.errstate(divide="ignore"):
        plan = np.exp(np.log(a)[:, None] + np.log(b) + (f[:, None] + g - cost) / reg)
    error = abs(plan.sum(axis=1) - a).sum() + abs(plan.sum(axis=0) - b).sum()
    dual = f @ a + g @ b - reg * (plan.sum() - 1)
    feasible = plan * np.minimum(1, a / np.maximum(plan.sum(axis=1), 1e-300))[:, None]
    feasible *= np.minimum(1, b / np.maximum(feasible.sum(axis=0), 1e-300))
    rows, columns = a - feasible.sum(axis=1), b - feasible.sum(axis=0)
    feasible = np.maximum(feasible + np.outer(rows, columns) / max(columns.sum(), 1e-300), 0)
    primal = (cost * feasible).sum() + reg * rel_entr(feasible, np.outer(a, b)).sum()
    return error, primal, dual


def transport_checks(cost, a, b, reg, result) -> list[Check]:
    """Return the checks of a transport: sums of the plan, and duality gap per unit of cost."""
    error, primal, dual = rebuilt(cost, a, b, reg, result)
    return [
        Check("marginals", error, TOL + 1e-12),
        Check("gap", (primal - dual) / cost.max(), TOL + 1e-12, low=-1e-12),
    ]


def pixels(image):
    """Return coordinates (down, right) of the pixels of an image, and its gray levels as masses."""
    places = np.stack(np.indices(image.shape), axis=-1).reshape(-1, 2).astype(float)
    masses = image.ravel().astype(float)
    return places, masses / masses.sum()


def in_between(plan, places, shape, t):
    """Return the image when every unit of mass has gone the share `t` of its way."""
    rows, columns = np.nonzero(plan > 1e-4 * plan.max())
    down, right = ((1 - t) * places[rows] + t * places[columns]).T
    image = np.zeros(shape)
    # Mass between pixels is shared by the four around it.
    for corner_down in (np.floor(down), np.floor(down) + 1):
        for corner_right in (np.floor(right), np.floor(right) + 1):
            share = (1 - abs(down - corner_down)) * (1 - abs(right - corner_right))
            inside = share > 0
            index = corner_down[inside].astype(int), corner_right[inside].astype(int)
            np.add.at(image, index, share[inside] * plan[rows, columns][inside])
    return image


def images(folder: Path) -> list[Row]:
    """Turn the picture of a shirt into that of a pair of trousers, for two costs."""
    fashion = np.load(DATA / "fashion.npz")
    shape = fashion["shirt"].shape
    places, a = pixels(fashion["shirt"])
    _, b = pixels(fashion["trousers"])
    difference = places[:, None] - places
    costs = {
        "squared distance": (difference**2).sum(axis=2),
        "city blocks": abs(difference).sum(axis=2),
    }
    rows, results = [], {}
    for name, cost in costs.items():
        reg = 1e-3 * cost.max()
        result, seconds = timed(
            lambda cost=cost, reg=reg: numopt.entropic_transport(cost, a, b, reg=reg, tol=TOL)
        )
        checks = transport_checks(cost, a, b, reg, result)
        size = f"{a.size} x {b.size}"
        rows.append(Row("entropic_transport", f"shirt to trousers, {name}", size, seconds, checks))
        results[name] = result
    draw_images(folder / "images.png", results, places, shape)
    return rows


def draw_images(path, results, places, shape):
    """Draw the way from one image to the other, and plan, potentials and convergence."""
    result = results["squared distance"]
    figure = plt.figure(figsize=(10, 10.5), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1, 2.3, 2.1], hspace=0.04)
    plan = result.plan()
    for k, ax in enumerate(top.subplots(1, 6)):
        ax.imshow(in_between(plan, places, shape, k / 5), cmap="gray_r")
        ax.set_title(["shirt", "20 %", "40 %", "60 %", "80 %", "trousers"][k])
        ax.axis("off")
    left, right = middle.subplots(1, 2)
    numopt.plotting.transport_plan(result, ax=left)
    left.set(title="Plan: which pixel goes where", xlabel="pixel of the trousers")
    left.set_ylabel("pixel of the shirt")
    numopt.plotting.potentials(result, shape, ax=right)
    right.set_title("Potentials: prices of gray at each pixel")
    ax = bottom.subplots()
    for name, one in results.items():
        numopt.plotting.convergence(one, ax=ax, label=name, levels=False)
    ax.axhline(TOL, color="0.3", linewidth=1, linestyle="--", label="tolerance")
    ax.set_title("Convergence; the error jumps where the regularization is lowered")
    ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def books(folder: Path) -> list[Row]:
    """Turn the words of the first book of Plato's Republic into those of the last."""
    republic = np.load(DATA / "republic.npz")
    vectors = republic["vectors"] * republic["step"]
    a, b = (counts / counts.sum() for counts in republic["counts"])
    cost = np.sqrt(((vectors[:, None] - vectors) ** 2).sum(axis=2))
    reg = 1e-3 * cost.max()
    result, seconds = timed(lambda: numopt.entropic_transport(cost, a, b, reg=reg, tol=TOL))
    draw_books(folder / "books.png", result, republic["words"])
    checks = transport_checks(cost, a, b, reg, result)
    size = f"{np.count_nonzero(a)} x {np.count_nonzero(b)}"
    return [Row("entropic_transport", "Book I to Book X, words", size, seconds, checks)]


def draw_books(path, result, words, lines=45):
    """Draw the words that change into others as two columns, joined where most mass goes."""
    plan = result.plan()
    stay = np.trace(plan)
    moves = plan - np.diag(np.diag(plan))
    heaviest = np.argsort(moves, axis=None)[::-1][:lines]
    starts, ends = np.unravel_index(heaviest, moves.shape)
    mass = moves[starts, ends]
    left = list(dict.fromkeys(starts))
    height = {word: -k * (len(set(ends)) - 1) / (len(left) - 1) for k, word in enumerate(left)}
    # Right-hand words in the order of where their mass comes from, so that few lines cross.
    origin = {
        word: np.average([height[s] for s in starts[ends == word]], weights=mass[ends == word])
        for word in set(ends)
    }
    right = {word: -k for k, word in enumerate(sorted(origin, key=origin.get, reverse=True))}
    figure, ax = plt.subplots(figsize=(8, 10), layout="constrained")
    along = np.linspace(0, 1, 50)
    for s, e, m in zip(starts, ends, mass, strict=True):
        rise = height[s] + (right[e] - height[s]) * along**2 * (3 - 2 * along)
        ax.plot(along, rise, color="0.35", alpha=0.55, linewidth=1400 * m, solid_capstyle="butt")
    for word, y in height.items():
        ax.text(-0.02, y, words[word], ha="right", va="center", color=numopt.plotting.SOURCE)
    for word, y in right.items():
        ax.text(1.02, y, words[word], ha="left", va="center", color=numopt.plotting.TARGET)
    ax.set_title(
        "Plato's Republic: the cheapest way to turn the words of Book I (left) into those of\n"
        f"Book X (right). {stay:.0%} of the words stay; shown are the largest changes."
    )
    ax.set_xlim(-0.25, 1.25)
    ax.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def palette(photograph):
    """Return the colors of a photograph, how much of it they cover, and the color of each pixel."""
    colors = photograph.reshape(-1, 3)
    _, index, counts = np.unique(colors // 4, axis=0, return_inverse=True, return_counts=True)
    index = index.reshape(-1)
    means = np.stack([np.bincount(index, channel / 255) for channel in colors.T], axis=1)
    return means / counts[:, None], counts / counts.sum(), index


def colors(folder: Path) -> list[Row]:
    """Give a photograph the colors of another, without storing a matrix of costs."""
    photographs = np.load(DATA / "photographs.npz")
    X, a, launch_index = palette(photographs["launch"])
    Y, b, coffee_index = palette(photographs["coffee"])
    cost = ((X[:, None] - Y) ** 2).sum(axis=2)  # for the check alone
    reg = 1e-3 * cost.max()
    clouds = numopt.PointCloudCost(X, Y)
    result, seconds = timed(lambda: numopt.entropic_transport(clouds, a, b, reg=reg, tol=TOL))
    new_X = result.barycentric_map(Y)
    new_Y = result.apply(X, transpose=True) / b[:, None]
    pictures = {
        "launch": photographs["launch"] / 255,
        "coffee": photographs["coffee"] / 255,
        "launch in the colors of the coffee": recolored(
            photographs["launch"], X, new_X, launch_index
        ),
        "coffee in the colors of the launch": recolored(
            photographs["coffee"], Y, new_Y, coffee_index
        ),
    }
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.6), layout="constrained")
    for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
        ax.imshow(picture, interpolation="bicubic")
        ax.set_title(title)
        ax.axis("off")
    figure.savefig(folder / "colors.png", dpi=110)
    plt.close(figure)
    checks = transport_checks(cost, a, b, reg, result)
    size = f"{len(X)} x {len(Y)}"
    return [Row("entropic_transport", "launch to coffee, colors", size, seconds, checks)]


def recolored(photograph, old, new, index):
    """Return a photograph whose colors `old` have become `new`, differences from them kept."""
    change = (new - old)[index].reshape(photograph.shape)
    return np.clip(photograph / 255 + change, 0, 1)


def divergence(folder: Path) -> list[Row]:
    """Move the pixels of the shirt by one gradient step on their distance from the trousers."""
    fashion = np.load(DATA / "fashion.npz")
    clouds = []
    for name in ("shirt", "trousers"):
        places, masses = pixels(fashion[name])
        clouds += [places[masses > 0] / 28, masses[masses > 0]]
    X, a, Y, b = clouds
    reg = 1e-3
    result, seconds = timed(lambda: numopt.sinkhorn_divergence(X, Y, a, b, reg=reg, tol=TOL))
    checks = divergence_checks((X, a), (Y, b), reg, result)
    step = -result.grad_points()[0] / (2 * a[:, None])
    after = numopt.sinkhorn_divergence(X + step, Y, a, b, reg=reg, tol=TOL)
    draw_divergence(folder / "divergence.png", (X, a), (Y, b), step, (result.fun, after.fun))
    size = f"{len(X)} x {len(Y)}"
    return [Row("sinkhorn_divergence", "shirt and trousers, pixels", size, seconds, checks)]


def divergence_checks(first, second, reg, result) -> list[Check]:
    """Check the three transports of a divergence, and its value against their primal values."""
    errors, gaps, value = [], [], 0.0
    for part, (X, a), (Y, b), weight in (
        (result.transport, first, second, 1.0),
        (result.self_a, first, first, -0.5),
        (result.self_b, second, second, -0.5),
    ):
        cost = ((X[:, None] - Y) ** 2).sum(axis=2)
        error, primal, dual = rebuilt(cost, a, b, reg, part)
        errors.append(error)
        gaps.append((primal - dual) / cost.max())
        value += weight * primal
    return [
        Check("marginals", max(errors), TOL + 1e-12),
        Check("gap", max(gaps, key=abs), TOL + 1e-12, low=-1e-12),
        Check("value", abs(value - result.fun), TOL),
    ]


def draw_divergence(path, shirt, trousers, step, values):
    """Draw two clouds of pixels, and the first after a gradient step."""
    (X, a), (Y, b) = shirt, trousers
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    panels = (
        (X, a, numopt.plotting.SOURCE, f"shirt, at divergence {values[0]:.5f}"),
        (X + step, a, numopt.plotting.SOURCE, f"after one gradient step, at {values[1]:.5f}"),
        (Y, b, numopt.plotting.TARGET, "trousers"),
    )
    for ax, (points, mass, color, title) in zip(axes, panels, strict=True):
        ax.scatter(points[:, 1], points[:, 0], s=28 * mass / mass.max(), color=color, linewidths=0)
        ax.set_title(title, fontsize="medium")
        ax.set_aspect("equal")
        ax.axis("off")
    gray = a > 0.05 * a.max()
    (down, right), (go_down, go_right) = X[gray].T, step[gray].T
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004, "color": "0.25"}
    axes[0].quiver(right, down, go_right, go_down, zorder=3, **arrows)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
