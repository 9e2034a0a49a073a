"""A tour: one small real problem for every solver, checked and drawn.

``make tour`` runs it. Every line of the table is a problem, solved twice: the first call may have
to compile. What the solver says of its own success is not used: each certificate is computed here,
in plain NumPy, from the arrays that came back. The exit status is 1 if one of them fails.

To add a solver, write a function that takes the folder for pictures and returns rows, and list it
in `TOUR`.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.optimize import NonlinearConstraint
from scipy.special import rel_entr

import numopt

DATA = Path(__file__).parent / "data"
TOL = 1e-8


class Check(NamedTuple):
    """A figure computed from a result without the solver, and the range it must be in."""

    name: str
    value: float
    high: float
    low: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the figure is in its range; not a number never is."""
        return self.low <= self.value <= self.high


class Row(NamedTuple):
    """A line of the table."""

    solver: str
    problem: str
    size: str
    seconds: tuple[float, float]  # of the first and of the second call
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether all checks passed; no check is no certificate."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def timed(solve: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """Return what `solve` returns, and how long its first and second call took."""
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        result = solve()
        seconds.append(time.perf_counter() - begin)
    return result, (seconds[0], seconds[1])


# %% Optimal transport


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


# %% Least squares


def fits(folder: Path) -> list[Row]:
    """Fit two problems whose coefficients are certified by NIST to fifteen digits.

    The polynomial of Filippelli's problem has a condition number of 1e15 in powers of x, so that
    the rounding of these powers alone, before any solver sees them, moves the eighth digit.
    """
    nist = np.load(DATA / "nist.npz")
    filip, longley = nist["filip"], nist["longley"]
    problems = {
        "Filip, polynomial of degree 10": (
            np.vander(filip[:, 1], 11, increasing=True),
            filip[:, 0],
            nist["filip_certified"],
            1e-7,
        ),
        "Longley, employment of the US": (
            np.column_stack([np.ones(len(longley)), longley[:, 1:]]),
            longley[:, 0],
            nist["longley_certified"],
            1e-12,
        ),
    }
    rows, errors = [], {}
    for name, (A, b, certified, high) in problems.items():
        result, seconds = timed(lambda A=A, b=b: numopt.lstsq(A, b))
        checks = fit_checks(certified, high, result.x, result.standard_errors())
        rows.append(Row("lstsq", name, f"{A.shape[0]} x {A.shape[1]}", seconds, checks))
        solutions = {
            "normal equations": np.linalg.solve(A.T @ A, A.T @ b),
            "numpy.linalg.lstsq": np.linalg.lstsq(A, b)[0],
            "the same, rcond=1e-18": np.linalg.lstsq(A, b, rcond=1e-18)[0],
            "numopt.lstsq": result.x,
        }
        errors[name] = {who: abs(x / certified[:, 0] - 1) for who, x in solutions.items()}
    draw_fits(folder / "fits.png", filip, nist["filip_certified"][:, 0], errors)
    return rows


def fit_checks(certified, high, x, standard_errors) -> list[Check]:
    """Compare coefficients and standard errors with the certified ones, digit by digit."""
    coefficients = abs(x / certified[:, 0] - 1).max()
    spread = abs(standard_errors / certified[:, 1] - 1).max()
    return [Check("coefficients", coefficients, high), Check("standard errors", spread, high)]


def draw_fits(path, filip, coefficients, errors):
    """Draw the data of Filip with the certified curve, and the right digits of every solver."""
    figure, (curve, *digits) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    along = np.linspace(filip[:, 1].min(), filip[:, 1].max(), 400)
    curve.plot(filip[:, 1], filip[:, 0], ".", color="0.6")
    exact = np.polynomial.polynomial.polyval(along, coefficients)
    curve.plot(along, exact, color=numopt.plotting.SOURCE)
    curve.set(title="Filip: 82 points, a polynomial of degree 10", xlabel="x", ylabel="y")
    for ax, (name, by_solver) in zip(digits, errors.items(), strict=True):
        for (who, error), marker, color in zip(
            by_solver.items(),
            "xs^o",
            ("#d55e00", "0.6", "0.3", numopt.plotting.SOURCE),
            strict=True,
        ):
            right = np.clip(-np.log10(np.maximum(error, 1e-16)), 0, 15)
            ax.plot(right, marker, color=color, label=who, clip_on=False)
        ax.set(title=name.partition(",")[0] + ": right digits", xlabel="coefficient", ylim=(0, 16))
        ax.set_xticks(range(len(error)))
    digits[0].legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Constrained optimization


def control(folder: Path) -> list[Row]:
    """Heat a plate, whose temperature obeys a differential equation, until it shows a ring."""
    N, alpha = 40, 1e-6
    h, M = 1 / (N + 1), N * N
    second = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N))
    laplace = (sp.kron(second, sp.eye_array(N)) + sp.kron(sp.eye_array(N), second)).tocsr()
    t = np.linspace(h, 1 - h, N)
    distance = np.hypot(t[:, None] - 0.5, t - 0.5).ravel()
    target = np.exp(-(((distance - 0.28) / 0.09) ** 2))

    def gradient(x):
        return np.concatenate([x[:M] - target, alpha * x[M:]])

    def equation(x):
        return laplace @ x[:M] + h**2 * (x[:M] ** 3 - x[M:])

    def jacobian(x):
        left = laplace + sp.diags_array(3 * h**2 * x[:M] ** 2)
        return sp.hstack([left, -(h**2) * sp.eye_array(M)]).tocsr()

    def hessian(x, lam):
        return sp.diags_array(
            np.concatenate([1 + 6 * h**2 * x[:M] * lam, np.full(M, alpha)]), format="csc"
        )

    result, seconds = timed(
        lambda: numopt.minimize_equality(
            lambda x: 0.5 * np.sum((x[:M] - target) ** 2) + 0.5 * alpha * np.sum(x[M:] ** 2),
            np.zeros(2 * M),
            jac=gradient,
            lagrangian_hess=hessian,
            constraints=NonlinearConstraint(equation, 0.0, 0.0, jac=jacobian),
            tol=TOL,
        )
    )
    slope = gradient(result.x) + jacobian(result.x).T @ result.lam_flat
    checks = [
        Check("equation", np.abs(equation(result.x)).max(), TOL),
        Check("gradient", np.abs(slope).max(), TOL),
    ]
    draw_control(folder / "control.png", target, result.x[:M], result.x[M:])
    size = f"{2 * M} x {M}"
    return [Row("minimize_equality", "heating of a plate", size, seconds, checks)]


def draw_control(path, target, state, heating):
    """Draw the temperature wanted, the one reached, and the heating that does it."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    side = round(target.size**0.5)
    panels = (
        (target, "wanted temperature", "inferno"),
        (state, "temperature", "inferno"),
        (heating, "heating", "RdBu_r"),
    )
    for ax, (values, title, cmap) in zip(axes, panels, strict=True):
        image = ax.imshow(values.reshape(side, side), cmap=cmap)
        figure.colorbar(image, ax=ax, shrink=0.8)
        ax.set_title(title)
        ax.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Regression in the p-norm


def regression_checks(A, b, loss, norm, dual_norm, result) -> list[Check]:
    """Return the gap of a fit from its dual variables, and how far these are from feasible.

    For any y with A'y = 0 no fit can have a norm below b'y over the dual norm of y.
    """
    y, residual = result.dual, b - A @ result.x
    infeasible = abs(A.T @ y).max() / (abs(A).T @ abs(y)).max()
    return [
        Check("gap", 1 - (y @ b) / dual_norm(y) / norm(residual), 2e-9, low=-1e-12),
        Check("infeasible", infeasible, 1e-10),
        Check("loss", abs(result.fun / loss(residual) - 1), 1e-12),
    ]


def rings(folder: Path) -> list[Row]:
    """Tell the age of abalones from their size: quantiles, and a fit of the largest residuals."""
    abalone = np.load(DATA / "abalone.npz")
    length, whole, shell, age = (abalone[name].astype(float) for name in abalone.files)
    A = np.column_stack([np.ones(len(age)), length / 100, whole / 1e4, shell / 1e4])
    size, rows, fits = f"{A.shape[0]} x {A.shape[1]}", [], {}
    for level in (0.1, 0.5, 0.9):
        result, seconds = timed(lambda level=level: numopt.lp_regression(A, age, quantile=level))

        def loss(r, level=level):
            return np.maximum(level * r, (level - 1) * r).sum()

        def dual_norm(y, level=level):
            return np.maximum(y / level, y / (level - 1)).max()

        checks = regression_checks(A, age, loss, loss, dual_norm, result)
        rows.append(Row("lp_regression", f"rings, quantile {level:g}", size, seconds, checks))
        fits[level] = A @ result.x
    result, seconds = timed(lambda: numopt.lp_regression(A, age, 4))
    checks = regression_checks(
        A,
        age,
        lambda r: (r**4).sum(),
        lambda r: (r**4).sum() ** 0.25,
        lambda y: (abs(y) ** (4 / 3)).sum() ** 0.75,
        result,
    )
    rows.append(Row("lp_regression", "rings, p = 4", size, seconds, checks))
    rows.append(coreset_row(A, age, size))
    draw_rings(folder / "rings.png", age, fits)
    return rows


def coreset_row(A, b, size) -> Row:
    """Fit to a tenth of the rows, and check what that costs on all of them."""
    result, seconds = timed(lambda: numopt.lp_coreset(A, 1, b, sample_size=len(b) // 10, rng=0))
    x = numopt.lp_regression(result.A, result.b, weights=result.weights).x
    best = abs(b - A @ numopt.lp_regression(A, b).x).sum()
    checks = [
        Check("excess", abs(b - A @ x).sum() / best - 1, 0.02, low=-1e-9),
        Check("rows", result.size / len(b), 0.12),
    ]
    return Row("lp_coreset", "rings, a tenth of the rows", size, seconds, checks)


def draw_rings(path, age, fits):
    """Draw predicted quantiles of the age against the age."""
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    order = np.argsort(fits[0.5])
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, size=len(age))
    place = np.arange(len(age))
    ax.plot(place, age[order] + jitter, ".", color="0.7", markersize=2)
    colors = (numopt.plotting.TARGET, numopt.plotting.SOURCE, "#009e73")
    for (level, values), color in zip(fits.items(), colors, strict=True):
        share = np.mean(age < values)
        label = f"quantile {level:g}: {share:.0%} lie below"
        ax.plot(place, values[order], ".", color=color, markersize=1.5)
        ax.plot([], [], color=color, label=label)
    ax.set(xlabel="abalones, by the median that is predicted", ylabel="rings")
    ax.legend(loc="upper left")
    ax.set_title("Quantiles of the number of rings, from length and weights")
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Convex training of ReLU networks


def ionosphere(folder: Path) -> list[Row]:
    """Train networks that tell good radar returns from bad ones, with three losses."""
    data = np.load(DATA / "ionosphere.npz")
    X, y = data["pulses"] * 1e-5, np.where(data["good"], 1.0, -1.0)
    rows, results = [], {}
    for loss in ("squared", "logistic", "hinge"):
        result, seconds = timed(
            lambda loss=loss: numopt.convex_relu(
                X, y, beta=0.3, loss=loss, n_patterns=12, tol=1e-4, rng=0
            )
        )
        checks = relu_checks(X, y, 0.3, loss, result)
        rows.append(Row("convex_relu", f"radar returns, {loss} loss", "351 x 34", seconds, checks))
        results[loss] = result
    draw_ionosphere(folder / "ionosphere.png", results)
    return rows


def relu_checks(X, y, beta, loss, result) -> list[Check]:
    """Check a network: neurons in their cones, and the gap to a dual point that is feasible."""
    from scipy.optimize import nnls

    X = np.concatenate([X, np.ones((len(X), 1))], axis=1)
    active, theta = result.patterns.astype(float), result.theta
    slack = min(
        ((2 * active - 1) * (X @ coef)).min() for coef in (result.coef_pos, result.coef_neg)
    )
    z = np.maximum(X @ result.W1, 0) @ result.w2
    share = np.clip(theta * y, 1e-300, 1 - 1e-16)
    value, dual = {
        "squared": (0.5 * (z - y) @ (z - y), theta @ y - 0.5 * theta @ theta),
        "logistic": (
            np.logaddexp(0, -y * z).sum(),
            -(share * np.log(share) + (1 - share) * np.log1p(-share)).sum(),
        ),
        "hinge": (np.maximum(0, 1 - y * z).sum(), share.sum()),
    }[loss]
    value += 0.5 * beta * ((result.W1**2).sum() + (result.w2**2).sum())
    # How far theta pulls along a neuron of each pattern: the distance from the polar cone.
    pull = max(
        nnls(((2 * on - 1)[:, None] * X).T, sign * (X.T @ (on * theta)), maxiter=10_000)[1]
        for on in active.T
        for sign in (1, -1)
    )
    return [
        Check("outside", -min(slack, 0.0), 0.0),
        Check("pull", pull / beta - 1, 1e-7, low=-1.0),
        Check("gap", (value - dual) / value, 1.01e-4, low=-1e-12),
    ]


def draw_ionosphere(path, results):
    """Draw how both bounds of each problem close in."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for ax, (loss, result) in zip(axes, results.items(), strict=True):
        steps = [record["nit"] for record in result.history]
        for bound, label in (("fun", "upper bound"), ("dual", "lower bound")):
            ax.semilogy(steps, [max(r[bound], 1e-3) for r in result.history], label=label)
        ax.set(title=f"{loss} loss", xlabel="iteration")
    axes[0].set_ylabel("objective")
    axes[0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Robust low-rank recovery


def hall(folder: Path) -> list[Row]:
    """Take people out of a film, and broken pixels out of a hall under changing light."""
    frames = np.load(DATA / "hall.npz")["frames"].astype(float)
    M = frames.reshape(len(frames), -1).T
    size = f"{M.shape[0]} x {M.shape[1]}"
    film, seconds = timed(lambda: numopt.robust_pca(M, 1, noise=True, rng=0))
    still = np.median(abs(film.L @ film.R.T - np.median(M, axis=1)[:, None]))
    rest = np.where(film.outlier_mask, 0, M - film.L @ film.R.T - film.sparse)
    checks = [
        Check("gray levels off the median", still, 2.0),
        Check("rest", abs(rest).max() / film.sigma, 6.0),
        Check("moving", film.outlier_fraction, 0.15, low=0.05),
    ]
    rows = [Row("robust_pca", "people in a hall", size, seconds, checks)]
    rng = np.random.default_rng(0)
    light = np.outer(np.median(M, axis=1), 1 + 0.3 * np.sin(np.arange(len(frames)) / 6))
    broken = rng.random(light.shape) < 0.25
    seen = np.where(broken, 400.0, light)
    result, seconds = timed(lambda: numopt.robust_pca(seen, 3, rng=0))
    checks = [
        Check("error", abs(result.L @ result.R.T - light).max() / light.max(), 1e-6),
        Check("pixels taken wrongly", float(np.sum(result.outlier_mask != broken)), 0.0),
        Check("rank", result.rank, 1.0, low=1.0),
    ]
    rows.append(Row("robust_pca", "a quarter of the pixels broken", size, seconds, checks))
    rows.append(sensing_row())
    draw_hall(folder / "hall.png", frames, film)
    return rows


def sensing_row() -> Row:
    """Recover a matrix from random measurements of which four in ten are wrong."""
    rng = np.random.default_rng(1)
    U = rng.normal(size=(24, 3))
    A = rng.normal(size=(1440, 24, 24))
    y = np.einsum("mij,ij->m", A, U @ U.T)
    wrong = rng.random(y.size) < 0.4
    y[wrong] += 300 * rng.normal(size=wrong.sum())
    solve = numopt.robust_low_rank_recovery
    result, seconds = timed(lambda: solve(A, y, rng=0))
    agree = abs(np.einsum("mij,ij->m", A, result.U @ result.U.T) - y) < 1e-6
    checks = [
        Check("error", abs(result.U @ result.U.T - U @ U.T).max(), 1e-9),
        Check("unknowns an agreement", 3 * (2 * 24 - 2) / 2 / agree.sum(), 1 / 1.5),
    ]
    return Row(
        "robust_low_rank_recovery", "40 % of measurements wrong", "1440 x 576", seconds, checks
    )


def draw_hall(path, frames, result):
    """Draw frames, what stays in them and what moves."""
    shown, (_, height, width) = (5, 15, 22, 32), frames.shape
    figure, axes = plt.subplots(3, 4, figsize=(9, 4.8), layout="constrained")
    still, moving = result.matrix(), -abs(result.sparse)
    for k, at in enumerate(shown):
        parts = (frames[at].ravel(), 0), (still[:, at], 0), (moving[:, at], -120)
        for ax, (column, low) in zip(axes[:, k], parts, strict=True):
            high = 255 if low == 0 else 0
            ax.imshow(column.reshape(height, width), cmap="gray", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
    for ax, name in zip(axes[:, 0], ("film", "hall", "people"), strict=True):
        ax.set_ylabel(name)
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Matrix completion


def metro(folder: Path) -> list[Row]:
    """Fill in lost counts of a metro; prove a second completion to be the convex minimum."""
    flow = np.load(DATA / "metro.npz")["flow"].astype(float)
    table = flow.reshape(-1, flow.shape[2])
    lost = np.random.default_rng(0).random(table.shape) < 0.4
    seen = np.where(lost, np.nan, table)
    rows = []
    stops = ("metro counts, 40 % lost", 10, 300.0), ("the same, proved", 40, 1e3)
    for problem, rank, reg in stops:
        result, seconds = timed(
            lambda rank=rank, reg=reg: numopt.matrix_completion(
                seen, rank, reg=reg, tol=1e-7, rng=0
            )
        )
        checks = completion_checks(table, lost, reg, result)
        checks = checks[: 2 + len(rows)]  # the rank of the first binds: it has no gap to close
        rows.append(Row("matrix_completion", problem, "560 x 108", seconds, checks))
        if not rows[1:]:
            draw_metro(folder / "metro.png", table, seen, result.X @ result.Y.T)
    return rows


def completion_checks(table, lost, reg, result) -> list[Check]:
    """Check a completion: its gradient, the counts it never saw, and the gap to a dual point."""
    X, Y = result.X, result.Y
    residual = np.where(lost, 0.0, table - X @ Y.T)
    values = np.where(lost, 0.0, table)
    slope = np.hypot(
        np.linalg.norm(residual @ Y - reg * X), np.linalg.norm(residual.T @ X - reg * Y)
    )
    size = np.linalg.norm(values) * (np.linalg.norm(X) + np.linalg.norm(Y))
    error = np.linalg.norm((X @ Y.T - table)[lost]) / np.linalg.norm(table[lost])
    dual = min(1.0, reg / np.linalg.norm(residual, 2)) * residual
    primal = 0.5 * (residual**2).sum() + 0.5 * reg * ((X**2).sum() + (Y**2).sum())
    gap = primal - (dual * values).sum() + 0.5 * (dual**2).sum()
    return [
        Check("gradient", 2 * slope / size, 1e-6),
        Check("lost", error, 0.2),
        Check("gap", gap / primal, 1e-5, low=-1e-12),
    ]


def draw_metro(path, table, seen, filled):
    """Draw the counts of the busiest station-days, what is left of them, and the completion."""
    busy = np.argsort(-table.max(axis=1))[:140]
    figure, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
    pictures = {"what was counted": table, "what is left": seen, "filled in": filled}
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        shown = np.sqrt(np.clip(picture[busy], 0, None))
        ax.imshow(shown, aspect="auto", vmin=0, vmax=40, extent=(6, 24, 140, 0))
        ax.set(title=title, xlabel="hour")
    axes[0].set_ylabel("days at metro stations")
    figure.savefig(path, dpi=110)
    plt.close(figure)


# %% Top eigenvector of a stream


def patches(folder: Path) -> list[Row]:
    """Find what patches of photographs have in common, reading them once."""
    with np.load(DATA / "photographs.npz") as data:
        pictures = [data[name].astype(float) for name in ("coffee", "launch")]
    windows = [
        np.lib.stride_tricks.sliding_window_view(picture, (8, 8), axis=(0, 1))
        for picture in pictures
    ]
    rows, drawn = [], []
    for name, A in (
        ("patches of a photograph, in order", windows[0].mean(axis=2).reshape(-1, 64)),
        ("patches of two, each color", np.concatenate([w.reshape(-1, 64) for w in windows])),
    ):
        options = {"rng": 0, "memory_rows": 32, "tol": 0.02}
        result, seconds = timed(lambda A=A, options=options: streamed(A, options))
        rows.append(
            Row("top_eigenvector", name, f"{A.shape[0]} x 64", seconds, stream_checks(A, result))
        )
        drawn.append((A, result))
    draw_patches(folder / "patches.png", drawn)
    return rows


def streamed(A, options):
    """Read rows through a generator that yields them in ragged chunks, and only once."""
    edges = np.cumsum(np.random.default_rng(0).integers(1, 700, size=len(A) // 200))
    return numopt.top_eigenvector(iter(np.split(A, edges[edges < len(A)])), **options)


def stream_checks(A, result) -> list[Check]:
    """Check a vector and its certificate against all eigenvalues of the Gram matrix."""
    values, vectors = np.linalg.eigh(A.T @ A)
    low, high = result.lambda1_bounds
    outside = max(low - values[-1], values[-1] - high, 0.0) / values[-1]
    apart = result.x - vectors[:, -1] * (vectors[:, -1] @ result.x)
    return [
        Check("sin2", apart @ apart, min(1e-6, result.sin2_bound + 1e-14)),
        Check("bound", result.sin2_bound, 0.02),
        Check("outside", outside, 1e-12),
        Check("length", abs(np.linalg.norm(result.x) - 1), 1e-12),
    ]


def draw_patches(path, drawn):
    """Draw the vectors, and how much of a patch each of the exact ones explains."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for ax, (_, result), title in zip(axes, drawn, ("in order", "two, each color"), strict=False):
        picture = ax.imshow(result.x.reshape(8, 8), cmap="gray")
        figure.colorbar(picture, ax=ax, shrink=0.8)
        ax.set(title=title, xticks=[], yticks=[])
    for (A, result), color in zip(drawn, ("#3776ab", "#e07b39"), strict=True):
        values = np.linalg.eigvalsh(A.T @ A)[::-1]
        axes[2].semilogy(np.arange(1, 13), values[:12], "o-", color=color, markersize=4)
        axes[2].axhspan(*result.lambda1_bounds, color=color, alpha=0.3)
    axes[2].set(xlabel="eigenvalue", title="eigenvalues, and bounds of the first")
    figure.savefig(path, dpi=110)
    plt.close(figure)


TOUR = [
    images,
    books,
    colors,
    divergence,
    fits,
    rings,
    control,
    ionosphere,
    metro,
    hall,
    patches,
]

# %% The table

LINE = "{:24} {:36} {:>12} {:>8} {:>8}  {:4}  {}"


def line_of(row: Row) -> str:
    """Return a line of the table."""
    figures = ", ".join(f"{c.name} {c.value:.1e} <= {c.high:.0e}" for c in row.checks)
    first, again = (f"{seconds:.2f} s" for seconds in row.seconds)
    verdict = "pass" if row.passed else "FAIL"
    return LINE.format(row.solver, row.problem, row.size, first, again, verdict, figures)


def main(tour: list[Callable[[Path], list[Row]]] = TOUR, folder: str | Path = "tour") -> int:
    """Take the tour, print its table and return the exit status."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(LINE.format("solver", "problem", "size", "first", "again", "", "certificate"))
    failed = 0
    for stop in tour:
        for row in stop(folder):
            print(line_of(row), flush=True)
            failed += not row.passed
    print(f"{failed} failed, pictures in {folder}/" if failed else f"Pictures in {folder}/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
