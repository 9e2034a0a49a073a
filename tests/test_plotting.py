"""What the pictures show."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from libraries import to_numpy

import numopt
from numopt import plotting

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import StepPatch


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def problem():
    """Return two clouds in the plane and their masses."""
    rng = np.random.default_rng(7)
    X, Y = rng.random((30, 2)), rng.random((40, 2)) + 0.5
    a, b = rng.random(30), rng.random(40)
    return X, Y, a / a.sum(), b / b.sum()


def solved(reg=1e-2, **options):
    X, Y, a, b = problem()
    return numopt.entropic_transport(numopt.PointCloudCost(X, Y), a, b, reg=reg, **options)


def error_lines(ax):
    """Return the lines of a convergence picture, the faint ones behind them left out."""
    return [line for line in ax.lines if line.get_alpha() is None]


def test_convergence_draws_every_record():
    result = solved(reg=1e-3)
    ax = plotting.convergence(result)
    (behind,) = [line for line in ax.lines if line.get_alpha() is not None]
    assert ax.get_yscale() == "log"
    assert list(behind.get_xdata()) == [record["nit"] for record in result.history]
    assert list(behind.get_ydata()) == [record["error"] for record in result.history]
    assert ax.get_ylabel() == "marginal error"


def test_convergence_marks_the_regularizations():
    result = solved(reg=1e-3)
    assert len(result.stats["reg_path"]) > 2
    ax = plotting.convergence(result)
    begins = {}
    for record in result.history:
        begins.setdefault(f"{record['reg']:.2g}", record["nit"])
    (top,) = ax.child_axes
    assert top.get_xlabel() == "regularization"
    marks = dict(zip((t.get_text() for t in top.get_xticklabels()), top.get_xticks(), strict=True))
    assert marks.items() <= begins.items()
    assert marks["0.001"] == begins["0.001"]
    assert len(marks) >= 2


def test_convergence_interrupts_the_line_at_a_new_regularization():
    result = solved(reg=1e-3)
    ax = plotting.convergence(result, levels=False)
    drawn = [list(line.get_ydata()) for line in error_lines(ax)]
    expected = {reg: [] for reg in result.stats["reg_path"]}
    for record in result.history:
        expected[record["reg"]].append(record["error"])
    assert drawn == list(expected.values())
    assert ax.child_axes == []


def test_convergence_labels_that_would_overlap_are_left_out():
    history = [{"nit": k, "error": 1 / (k + 1), "reg": 1 / (k + 1)} for k in range(200)]
    (top,) = plotting.convergence(numopt.Result(history=history)).child_axes
    ticks = sorted(top.get_xticks())
    assert ticks[-1] == 199
    assert len(ticks) > 10
    assert min(np.diff(ticks)) >= 0.05 * 199


def test_convergence_draws_the_tolerance():
    ax = plotting.convergence(solved(), tol=1e-8, levels=False)
    (line,) = [line for line in ax.lines if line.get_label() == "tol 1e-08"]
    assert list(line.get_ydata()) == [1e-8, 1e-8]
    assert "tol 1e-08" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_convergence_of_results_of_any_solver():
    history = [{"nit": k, "error": 10.0**-k} for k in range(5)]
    ax = plotting.convergence(numopt.Result(history=history))
    (line,) = error_lines(ax)
    assert list(line.get_ydata()) == [record["error"] for record in history]
    assert ax.get_ylabel() == "error"
    assert ax.child_axes == []
    assert ax.get_legend() is None


def test_convergence_compares_results_on_the_same_axes():
    ax = plotting.convergence(solved(), label="sns", levels=False)
    same = plotting.convergence(
        solved(method="sinkhorn"), ax=ax, label="sinkhorn", levels=False, tol=1e-8
    )
    assert same is ax
    named = {line.get_label(): line for line in ax.lines if line.get_gid() is not None}
    assert list(named) == ["sns", "sinkhorn"]
    assert named["sns"].get_color() != named["sinkhorn"].get_color()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["sns", "sinkhorn", "tol 1e-08"]


def test_convergence_of_a_divergence_has_three_lines():
    X, Y, a, b = problem()
    result = numopt.sinkhorn_divergence(X, Y, a, b, reg=1e-2)
    ax = plotting.convergence(result, label="divergence")
    behind = [line for line in ax.lines if line.get_alpha() is not None]
    parts = (result.transport, result.self_a, result.self_b)
    assert [len(line.get_ydata()) for line in behind] == [len(part.history) for part in parts]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["divergence X to Y", "divergence X to X", "divergence Y to Y"]


def test_convergence_of_a_batch_has_a_line_a_problem():
    costs = np.random.default_rng(0).random((3, 8, 9))
    ax = plotting.convergence(numopt.entropic_transport(costs, reg=0.1))
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["problem 0", "problem 1", "problem 2"]


def test_convergence_draws_an_error_of_zero_at_the_bottom():
    history = [{"nit": 0, "error": 1.0}, {"nit": 1, "error": 0.0}]
    (line,) = error_lines(plotting.convergence(numopt.Result(history=history)))
    assert list(line.get_ydata()) == [1.0, plotting.SMALLEST_ERROR]


@pytest.mark.parametrize("fields", [{}, {"history": []}])
def test_convergence_needs_a_history(fields):
    with pytest.raises(ValueError, match="`result` has no history to draw"):
        plotting.convergence(numopt.Result(**fields))


def test_convergence_draws_single_records_as_points():
    (line,) = error_lines(plotting.convergence(solved(maxiter=0), levels=False))
    assert len(line.get_xdata()) == 1
    assert line.get_marker() == "o"


def test_plan_is_drawn_with_its_sums():
    result = solved()
    plan = result.plan()
    ax = plotting.transport_plan(result)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), plan)
    sums = [
        patch.get_data().values
        for side in ax.child_axes
        for patch in side.patches
        if isinstance(patch, StepPatch)
    ]
    assert len(sums) == 2
    np.testing.assert_allclose(sums[0], plan.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(sums[1], plan.sum(axis=0), rtol=1e-12)
    # Row 0 on top, like the matrix.
    assert ax.get_ylim() == (29.5, -0.5)
    assert ax.get_xlim() == (-0.5, 39.5)


def test_plan_without_ornaments():
    ax = plotting.transport_plan(solved(), masses=False, colorbar=False)
    assert ax.child_axes == []
    assert len(ax.images) == 1


def test_title_of_a_plan_stays_clear_of_the_sums():
    ax = plotting.transport_plan(solved())
    ax.set_title("title")
    ax.figure.canvas.draw()
    above = max(side.get_window_extent().y1 for side in ax.child_axes)
    assert ax.title.get_window_extent().y0 >= above


@pytest.mark.parametrize("dense", [True, False])
def test_large_plan_is_added_up(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(plotting, "DENSE_ENTRIES", 0)
    result = solved()
    ax = plotting.transport_plan(result, cells=12)
    image = np.asarray(ax.images[0].get_array())
    # 30 rows in bins of 3, 40 columns in bins of 4.
    expected = result.plan().reshape(10, 3, 10, 4).sum(axis=(1, 3))
    lost = 0.0 if dense else 2 * plotting.INVISIBLE
    assert image.shape == expected.shape
    assert abs(image - expected).sum() <= lost + 1e-15
    assert (image > 0).sum() > 10


def test_last_bin_of_a_plan_may_hold_fewer():
    ax = plotting.transport_plan(solved(), cells=7)
    image = np.asarray(ax.images[0].get_array())
    # Bins of 5 rows and 6 columns; the last holds 4 columns, and the axes end where the plan does.
    assert image.shape == (6, 7)
    assert ax.get_xlim() == (-0.5, 39.5)
    assert ax.images[0].get_extent() == [-0.5, 41.5, 29.5, -0.5]
    np.testing.assert_allclose(image[:, -1].sum(), solved().plan()[:, 36:].sum(), rtol=1e-12)


@pytest.mark.parametrize("dense", [True, False])
def test_plan_of_masses_that_are_zero(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(plotting, "DENSE_ENTRIES", 0)
    X, Y, a, b = problem()
    a[3] = b[0] = 0.0
    cost = numopt.PointCloudCost(X, Y)
    result = numopt.entropic_transport(cost, a / a.sum(), b / b.sum(), reg=1e-2)
    image = np.asarray(plotting.transport_plan(result).images[0].get_array())
    assert image.shape == (30, 40)
    np.testing.assert_array_equal(image.sum(axis=1) == 0, a == 0)
    np.testing.assert_array_equal(image.sum(axis=0) == 0, b == 0)
    ax = plotting.transport_map(result, X, Y)
    sizes = [c.get_sizes() for c in ax.collections if isinstance(c, PathCollection)]
    assert sizes[0][3] == sizes[1][0] == 0


def test_potentials_are_drawn_centered():
    result = solved()
    ax = plotting.potentials(result)
    f, g = (line.get_ydata() for line in ax.lines)
    np.testing.assert_allclose(f, result.f - result.f.mean(), atol=1e-15)
    np.testing.assert_allclose(g, result.g - result.g.mean(), atol=1e-15)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["f, sources", "g, targets"]


def test_potentials_are_drawn_as_images():
    cost = np.random.default_rng(1).random((12, 12))
    result = numopt.entropic_transport(cost, reg=0.1)
    ax = plotting.potentials(result, (3, 4))
    f, g = ax.images
    np.testing.assert_allclose(f.get_array(), (result.f - result.f.mean()).reshape(3, 4))
    np.testing.assert_allclose(g.get_array(), (result.g - result.g.mean()).reshape(3, 4))
    # One scale for both, symmetric about zero, and side by side.
    assert f.get_clim() == g.get_clim()
    assert f.get_clim()[0] == -f.get_clim()[1]
    assert f.get_extent()[1] < g.get_extent()[0]


@pytest.mark.parametrize("shape", [(5, 6), (5, 8), (3, 3)])
def test_potentials_need_a_shape_that_fits(shape):
    with pytest.raises(ValueError, match="`shape` must hold the 30 sources and the 40 targets"):
        plotting.potentials(solved(), shape)


def test_map_joins_the_points_that_exchange_most():
    X, Y, a, b = problem()
    result = solved()
    ax = plotting.transport_map(result, X, Y, lines=25)
    (joined,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    plan = result.plan()
    heaviest = np.argsort(plan, axis=None)[-25:]
    rows, columns = np.unravel_index(heaviest, plan.shape)
    expected = {(*X[i], *Y[j]) for i, j in zip(rows, columns, strict=True)}
    assert {tuple(np.ravel(segment)) for segment in joined.get_segments()} == expected
    clouds = [c for c in ax.collections if isinstance(c, PathCollection)]
    for cloud, points, masses in zip(clouds, (X, Y), (a, b), strict=True):
        np.testing.assert_array_equal(cloud.get_offsets(), points)
        sizes = cloud.get_sizes() / cloud.get_sizes().max()
        np.testing.assert_allclose(sizes, masses / masses.max(), atol=5e-3)


def test_points_of_a_map_may_be_lists():
    X, Y, _, _ = problem()
    ax = plotting.transport_map(solved(), X.tolist(), Y.tolist())
    clouds = [c for c in ax.collections if isinstance(c, PathCollection)]
    np.testing.assert_array_equal(clouds[1].get_offsets(), Y)


@pytest.mark.parametrize(("name", "position"), [("X", 0), ("Y", 1)])
def test_map_needs_points_in_the_plane(name, position):
    points = list(problem()[:2])
    points[position] = points[position][:, :1]
    with pytest.raises(ValueError, match=f"`{name}` must have shape \\(.*, 2\\)"):
        plotting.transport_map(solved(), *points)


@pytest.mark.parametrize(
    "draw",
    [
        plotting.transport_plan,
        plotting.potentials,
        lambda result: plotting.transport_map(result, *problem()[:2]),
    ],
)
def test_pictures_of_one_transport_refuse_others(draw):
    X, Y, a, b = problem()
    with pytest.raises(TypeError, match="must be a TransportResult, got DivergenceResult"):
        draw(numopt.sinkhorn_divergence(X, Y, a, b, reg=0.1))
    with pytest.raises(TypeError, match="must be a TransportResult, got TransportBatch"):
        draw(numopt.entropic_transport(np.zeros((2, 3, 3)), reg=0.1))


def test_given_axes_are_drawn_on():
    _, axes = plt.subplots(1, 3)
    result = solved()
    X, Y, _, _ = problem()
    assert plotting.transport_plan(result, ax=axes[0]) is axes[0]
    assert plotting.potentials(result, ax=axes[1]) is axes[1]
    assert plotting.transport_map(result, X, Y, ax=axes[2]) is axes[2]
    assert len(plt.get_fignums()) == 1


def test_every_library(lib):
    """Results of any library are drawn, with the numbers they hold."""
    if not lib.indexing:
        pytest.skip("sparse plans need functions that return indices")
    X, Y, a, b = (lib.asarray(x) for x in problem())
    result = numopt.entropic_transport(numopt.PointCloudCost(X, Y), a, b, reg=0.05)
    image = plotting.transport_plan(result).images[0]
    np.testing.assert_array_equal(image.get_array(), to_numpy(result.plan()))
    f, _ = plotting.potentials(result).lines
    expected = to_numpy(result.f)
    np.testing.assert_array_equal(f.get_ydata(), expected - expected.mean())
    ax = plotting.transport_map(result, X, Y, lines=20)
    assert len(ax.collections[0].get_segments()) == 20
    (behind, *_) = plotting.convergence(result).lines
    assert list(behind.get_ydata()) == [record["error"] for record in result.history]


@pytest.mark.parametrize("name", ["convergence", "transport_plan", "potentials", "transport_map"])
def test_without_matplotlib_the_error_names_the_extra(name, monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    arguments = problem()[:2] if name == "transport_map" else ()
    with pytest.raises(ImportError, match=r"install numopt-solvers\[plot\]"):
        getattr(plotting, name)(solved(), *arguments)


def test_matplotlib_is_imported_on_use_and_plotting_never_by_a_solver():
    code = """
import sys
import numpy as np
import numopt
numopt.sinkhorn_divergence(np.zeros((2, 1)), np.ones((3, 1)), reg=0.1)
assert "numopt.plotting" not in sys.modules
numopt.plotting.convergence
assert "numopt.plotting" in sys.modules
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
