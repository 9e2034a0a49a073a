"""Pictures of results: convergence of any solver, and one per problem (needs matplotlib).

Every function draws on a Matplotlib ``Axes``, a new one by default, and returns it, so that titles
and labels can be changed afterwards. Results on any device are copied to the host for drawing.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np

from ._core.namespace import Array
from ._core.outcome import Result
from .transport import DivergenceResult, TransportBatch, TransportResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue for rows and sources, orange for columns and targets: told apart with any color vision.
SOURCE, TARGET = "#3776ab", "#e07b39"
# The Okabe-Ito palette, and dashes for prints without color.
COLORS = (SOURCE, "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")
# Lines with more points than this have no markers.
MARKED_ITERATIONS = 80
# Marks the lines of `convergence` among those of an axes, to give the next one another color.
LINE = "numopt error"
# Smaller errors, zero among them, are drawn here: a logarithmic axis has no place for zero.
SMALLEST_ERROR = 1e-18
# Plans with more entries are drawn from their sparse form, without what a reader cannot see.
DENSE_ENTRIES = 4_000_000
INVISIBLE = 1e-3


def convergence(
    result: Result,
    *,
    ax: Axes | None = None,
    tol: float | None = None,
    label: str | None = None,
    levels: bool = True,
) -> Axes:
    """Draw the error of a result over its iterations, on a logarithmic axis.

    Parameters
    ----------
    result : Result
        What any solver returned. The three problems of a `DivergenceResult` and the problems of a
        `TransportBatch` are drawn as a line each.
    ax : matplotlib.axes.Axes, optional
        Where to draw; call again with the same axes to compare results. Default is a new figure.
    tol : float, optional
        Tolerance, drawn as a horizontal line.
    label : str, optional
        Name of the result in the legend.
    levels : bool, default True
        Where a solver follows a path of regularizations, mark where each begins, with its value
        above the picture. Not for results with several lines.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If the result has no history.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> cost = np.random.default_rng(0).random((50, 50))
    >>> result = numopt.entropic_transport(cost, reg=1e-3)
    >>> ax = numopt.plotting.convergence(result, tol=1e-8)
    >>> ax.get_yscale(), ax.get_xlabel()
    ('log', 'iteration')
    """
    curves = _curves(result, label)
    ax = _axes(ax)
    drawn = sum(line.get_gid() == LINE for line in ax.lines)
    for number, (name, history) in enumerate(curves, start=drawn):
        _draw_errors(ax, history, name, number)
    if tol is not None:
        ax.axhline(tol, color="0.3", linewidth=1, linestyle=(0, (6, 4)), label=f"tol {tol:g}")
    path = [record for record in curves[0][1] if "reg" in record]
    if levels and len(curves) == 1 and path:
        _mark_levels(ax, path)
    ax.set_yscale("log")
    ax.set_xlabel("iteration")
    ax.set_ylabel("marginal error" if "marginal_error" in curves[0][1][0] else "error")
    ax.xaxis.set_major_locator(_require("matplotlib.ticker").MaxNLocator(integer=True))
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    return ax


def transport_plan(
    result: TransportResult,
    *,
    ax: Axes | None = None,
    masses: bool = True,
    colorbar: bool = True,
    cells: int = 400,
) -> Axes:
    """Draw a transport plan as an image, with its row and column sums along the sides.

    Row i of the image shows where the mass of source i goes. The color is proportional to the
    square root of the mass, so that small entries are seen next to large ones.

    Parameters
    ----------
    result : TransportResult
        What `entropic_transport` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default is a new figure.
    masses : bool, default True
        Draw the row sums to the right of the image and the column sums above it.
    colorbar : bool, default True
        Draw the color scale.
    cells : int, default 400
        Largest number of rows and columns of the image. In a larger plan, neighboring entries are
        added up, so that thin structures are not lost between pixels.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the image.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If the result is not of a single transport problem.

    Notes
    -----
    Plans with more than four million entries are drawn from `TransportResult.sparse_plan`, in
    O(nnz) memory; up to a thousandth of the mass of each row and column is then left out.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(0, 1, 60)
    >>> result = numopt.entropic_transport((x[:, None] - x**2) ** 2, reg=1e-3)
    >>> ax = numopt.plotting.transport_plan(result)
    >>> ax.images[0].get_array().shape
    (60, 60)
    """
    colors, ticker = _require("matplotlib.colors"), _require("matplotlib.ticker")
    _check_transport(result)
    image, bins = _binned_plan(result, cells)
    ax = _axes(ax)
    height, width = (size * count for size, count in zip(bins, image.shape, strict=True))
    drawing = ax.imshow(
        image,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        aspect="auto",
        cmap="Blues",
        norm=colors.PowerNorm(0.5, vmin=0, vmax=float(image.max())),
        interpolation="nearest",
    )
    if masses:
        _draw_masses(ax, image, bins)
    ax.set_xlim(-0.5, result.g.shape[0] - 0.5)
    ax.set_ylim(result.f.shape[0] - 0.5, -0.5)
    ax.set_xlabel("target")
    ax.set_ylabel("source")
    if colorbar:
        cax = ax.inset_axes((1.2 if masses else 1.03, 0, 0.035, 1))
        bar = ax.figure.colorbar(drawing, cax=cax, label="mass")
        bar.locator = ticker.MaxNLocator(5)
        bar.outline.set_visible(False)
    return ax


def potentials(
    result: TransportResult, shape: tuple[int, int] | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw the dual potentials of a transport problem: as two lines, or as two images.

    Up to a constant, the potentials are the prices of a unit of mass at each source and target.
    The constant is chosen here such that each has mean zero.

    Parameters
    ----------
    result : TransportResult
        What `entropic_transport` returned.
    shape : tuple of int, optional
        Shape of the images whose pixels, row by row, are the sources and the targets. The
        potentials are then drawn as images side by side with one color scale. Default is a line
        each, over the index.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default is a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If the result is not of a single transport problem.
    ValueError
        If the potentials do not have as many entries as an image of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(0, 1, 60)
    >>> result = numopt.entropic_transport((x[:, None] - x**2) ** 2, reg=1e-3)
    >>> ax = numopt.plotting.potentials(result)
    >>> len(ax.lines)
    2
    """
    _check_transport(result)
    f, g = _on_host(result.f), _on_host(result.g)
    f, g = f - f.mean(), g - g.mean()
    if shape is not None and not (f.size == g.size == shape[0] * shape[1]):
        raise ValueError(
            f"`shape` must hold the {f.size} sources and the {g.size} targets, got {shape}."
        )
    ax = _axes(ax)
    if shape is None:
        ax.plot(f, color=SOURCE, label="f, sources")
        ax.plot(g, color=TARGET, linestyle="--", label="g, targets")
        ax.set_xlabel("index")
        ax.set_ylabel("potential")
        ax.legend()
    else:
        _draw_images(ax, f.reshape(shape), g.reshape(shape))
    return ax


def transport_map(
    result: TransportResult, X: Array, Y: Array, *, ax: Axes | None = None, lines: int = 500
) -> Axes:
    """Draw two clouds of points in the plane, and lines along which mass goes.

    Parameters
    ----------
    result : TransportResult
        What `entropic_transport` returned.
    X : array, shape (n, 2)
        Points of the sources, drawn as disks whose area is proportional to their mass.
    Y : array, shape (m, 2)
        Points of the targets.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default is a new figure.
    lines : int, default 500
        Number of entries of the plan drawn as lines, those with the largest mass; the darker, the
        more mass.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError
        If the result is not of a single transport problem.
    ValueError
        If the points are not in the plane, or not as many as sources and targets.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.random((40, 2)), rng.random((50, 2)) + [1.5, 0]
    >>> result = numopt.entropic_transport(numopt.PointCloudCost(X, Y), reg=1e-3)
    >>> ax = numopt.plotting.transport_map(result, X, Y)
    >>> [cloud.get_label() for cloud in ax.collections[1:]]
    ['source', 'target']
    """
    collections = _require("matplotlib.collections")
    _check_transport(result)
    X, Y = _points("X", X, result.f), _points("Y", Y, result.g)
    data, rows, columns = _entries(result)
    row_masses = np.bincount(rows, data, len(X))
    column_masses = np.bincount(columns, data, len(Y))
    heaviest = np.argsort(data)[-lines:]
    strength = data[heaviest] / data.max()
    segments = np.stack([X[rows[heaviest]], Y[columns[heaviest]]], axis=1)
    gray = np.concatenate([np.full((len(strength), 3), 0.3), 0.6 * strength[:, None]], axis=1)
    ax = _axes(ax)
    ax.add_collection(collections.LineCollection(segments, colors=gray, linewidths=0.8))
    for cloud, mass, color, name in (
        (X, row_masses, SOURCE, "source"),
        (Y, column_masses, TARGET, "target"),
    ):
        size = 25 * mass / mass.max()
        ax.scatter(
            cloud[:, 0], cloud[:, 1], s=size, color=color, linewidths=0, zorder=3, label=name
        )
    ax.set_aspect("equal")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)
    return ax


def _require(module: str) -> Any:
    """Return a module of Matplotlib; the error names the extra to install."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            "numopt.plotting needs Matplotlib: install it, or install numopt-solvers[plot]."
        ) from error


def _axes(ax: Axes | None) -> Axes:
    """Return the axes to draw on."""
    pyplot = _require("matplotlib.pyplot")
    return pyplot.subplots(layout="constrained")[1] if ax is None else ax


def _on_host(x: Array) -> Any:
    """Return a NumPy array with the numbers of an array of any library, or of an array-like."""
    if not array_api_compat.is_array_api_obj(x):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        x = x.detach()
    if array_api_compat.is_cupy_array(x) or array_api_compat.is_torch_array(x):
        x = array_api_compat.to_device(x, "cpu")
    return x if isinstance(x, np.ndarray) else np.from_dlpack(x)


def _check_transport(result: Any) -> None:
    if not isinstance(result, TransportResult) or isinstance(result, TransportBatch):
        raise TypeError(
            f"`result` must be a TransportResult, got {type(result).__name__}; of a batch, pass "
            "one of its `results`, of a divergence `transport`, `self_a` or `self_b`."
        )


def _points(name: str, x: Array, potential: Array) -> Any:
    """Return the points of one side on the host, validated."""
    x, wanted = _on_host(x), (potential.shape[0], 2)
    if x.shape != wanted:
        raise ValueError(f"`{name}` must have shape {wanted}, got {x.shape}.")
    return x


def _curves(result: Result, label: str | None) -> list[tuple[str | None, list[Any]]]:
    """Return the name and the history of every line of a convergence picture."""
    if isinstance(result, DivergenceResult):
        parts = {"X to Y": result.transport, "X to X": result.self_a, "Y to Y": result.self_b}
        curves = [(name, part.history) for name, part in parts.items()]
    elif isinstance(result, TransportBatch):
        histories: Any = result.history  # one for each problem
        curves = [(f"problem {k}", history) for k, history in enumerate(histories)]
    else:
        curves = [("", result.get("history") or [])]
    if not all(history for _, history in curves):
        raise ValueError("`result` has no history to draw.")
    return [(" ".join(filter(None, (label, name))) or None, history) for name, history in curves]


def _draw_errors(ax: Axes, history: list[Any], label: str | None, number: int) -> None:
    """Draw one line; it is faint where a new regularization redefines the error."""
    color = COLORS[number % len(COLORS)]
    dashes = DASHES[number // len(COLORS) % len(DASHES)]
    marker = "o" if len(history) <= MARKED_ITERATIONS else ""
    iterations = [record["nit"] for record in history]
    errors = [max(record["error"], SMALLEST_ERROR) for record in history]
    ax.plot(iterations, errors, color=color, linewidth=0.8, alpha=0.35)
    first = 0
    for _, level in groupby(history, key=lambda record: record.get("reg")):
        last = first + len(list(level))
        (line,) = ax.plot(
            iterations[first:last],
            errors[first:last],
            color=color,
            linestyle=dashes,
            marker=marker,
            markersize=3,
            label=label if first == 0 else None,
        )
        line.set_gid(LINE if first == 0 else None)
        first = last


def _mark_levels(ax: Axes, path: list[Any]) -> None:
    """Mark where each regularization begins, with its value above the picture."""
    begins = [next(level) for _, level in groupby(path, key=lambda record: record["reg"])]
    starts = [record["nit"] for record in begins]
    for nit in starts:
        ax.axvline(nit, color="0.85", linewidth=0.8, zorder=0)
    # Labels that would overlap are left out, but never the last, which is the target.
    apart = 0.05 * max(path[-1]["nit"], 1)
    kept = [len(starts) - 1]
    for k in reversed(range(len(starts) - 1)):
        if starts[kept[-1]] - starts[k] >= apart:
            kept.append(k)
    top = ax.secondary_xaxis("top")
    values = [f"{begins[k]['reg']:.2g}" for k in kept]
    top.set_xticks(
        [starts[k] for k in kept], values, rotation=45, rotation_mode="anchor", ha="left"
    )
    top.tick_params(length=2, labelsize="small", pad=1)
    top.set_xlabel("regularization")


def _entries(result: TransportResult) -> tuple[Any, Any, Any]:
    """Return values, rows and columns of the entries of the plan that can be seen."""
    matrix, _ = result.sparse_plan(INVISIBLE)
    parts = matrix if isinstance(matrix, tuple) else (matrix.data, matrix.indices, matrix.indptr)
    data, indices, indptr = (_on_host(part) for part in parts)
    return data, np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices


def _binned_plan(result: TransportResult, cells: int) -> tuple[Any, tuple[int, int]]:
    """Return the plan with neighbors added up, and how many rows and columns make a bin."""
    n, m = result.f.shape[0], result.g.shape[0]
    # Bins of one size: unequal ones would show as a pattern. The last may hold fewer.
    tall, wide = -(-n // cells), -(-m // cells)
    if n * m <= DENSE_ENTRIES:
        plan = np.add.reduceat(_on_host(result.plan()), range(0, n, tall), axis=0)
        return np.add.reduceat(plan, range(0, m, wide), axis=1), (tall, wide)
    data, rows, columns = _entries(result)
    height, width = -(-n // tall), -(-m // wide)
    cell = (rows // tall) * width + columns // wide
    return np.bincount(cell, data, height * width).reshape(height, width), (tall, wide)


def _draw_masses(ax: Axes, image: Any, bins: tuple[int, int]) -> None:
    """Draw the row sums of a plan to the right of its image and the column sums above it."""
    right = ax.inset_axes((1.02, 0, 0.15, 1), sharey=ax)
    above = ax.inset_axes((0, 1.02, 1, 0.15), sharex=ax)
    row_edges = bins[0] * np.arange(image.shape[0] + 1) - 0.5
    column_edges = bins[1] * np.arange(image.shape[1] + 1) - 0.5
    right.stairs(image.sum(axis=1), row_edges, orientation="horizontal", fill=True, color=SOURCE)
    above.stairs(image.sum(axis=0), column_edges, fill=True, color=TARGET)
    for side in (right, above):
        side.spines[:].set_visible(False)
        side.tick_params(labelbottom=False, labelleft=False, length=0)
    # The ticks of the other axis are shared with the image.
    right.set_xticks([])
    above.set_yticks([])


def _draw_images(ax: Axes, f: Any, g: Any) -> None:
    """Draw two images side by side on one color scale that is symmetric about zero."""
    height, width = f.shape
    largest = max(abs(f).max(), abs(g).max())
    gap = max(1, width // 10)
    for image, left in ((f, 0), (g, width + gap)):
        drawing = ax.imshow(
            image,
            extent=(left, left + width, height, 0),
            cmap="PuOr",
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
        )
    ax.set_xlim(0, 2 * width + gap)
    ax.set_xticks([width / 2, 1.5 * width + gap], ["f, sources", "g, targets"])
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(drawing, ax=ax, label="potential", shrink=0.7)
