"""Every benchmark runs once, at its smallest size; those of absent libraries are skipped."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from structure import SOLVER_PACKAGES

FOLDER = Path(__file__).parents[1] / "asv_bench"
KINDS = ("time_", "peakmem_", "track_", "timeraw_")


@pytest.fixture(scope="module", autouse=True)
def small_cases():
    """Import the benchmarks shrunk, and forget them afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMOPT_BENCH_QUICK", "1")
        patch.syspath_prepend(str(FOLDER))
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def load(module):
    return importlib.import_module(f"benchmarks.{module}")


def declared():
    """Names of the benchmarks, read from the source: collecting them imports nothing."""
    for path in sorted(FOLDER.glob("benchmarks/*.py")):
        owner = ""
        for line in path.read_text().splitlines():
            if line.startswith("class "):
                owner = line[6:].partition("(")[0].rstrip(":")
            method = line.strip().removeprefix("def ").partition("(")[0]
            if "def " in line and method.startswith(KINDS):
                yield path.stem, owner if line.startswith(" ") else "", method


BENCHMARKS = list(declared())


# Every solver has benchmarks, and so has what a user waits for first.
PROBLEMS = {"compile", "import", *SOLVER_PACKAGES}


def test_benchmarks_are_found():
    assert {module for module, _, _ in BENCHMARKS} == PROBLEMS
    assert len(BENCHMARKS) >= 14


@pytest.mark.parametrize(("module", "owner", "name"), BENCHMARKS)
def test_benchmark_runs(module, owner, name):
    if not owner:
        code = getattr(load(module), name)()
        subprocess.run([sys.executable, "-c", "\n".join(reversed(code))], check=True)
        return
    benchmark = getattr(load(module), owner)()
    smallest = [values[0] for values in getattr(benchmark, "params", ())]
    assert len(smallest) == len(getattr(benchmark, "param_names", ()))
    try:
        benchmark.setup(*smallest)
    except NotImplementedError:
        pytest.skip("the library is not installed")
    value = getattr(benchmark, name)(*smallest)
    if hasattr(benchmark, "teardown"):
        benchmark.teardown(*smallest)
    if name.startswith("track_"):
        assert np.isfinite(value)
        assert value >= 0


@pytest.mark.parametrize(
    "family", ["assign", "cloudw3", "rect", "imgL1", "dens", "points", "batch"]
)
def test_problem_is_what_the_contest_expects(family):
    problem = load("problems").make(family, 36, 50.0)
    accuracy = load("accuracy")
    np.testing.assert_allclose(problem.a.sum(axis=-1), 1.0)
    np.testing.assert_allclose(problem.b.sum(axis=-1), 1.0)
    assert min(problem.a.min(), problem.b.min()) > 0
    cost = accuracy.cost_rows(problem, slice(None))
    assert cost.max() == pytest.approx(1.0)
    assert cost.min() >= 0


def test_marginal_error_counts_both_sides():
    accuracy, problems = load("accuracy"), load("problems")
    problem = problems.Problem(np.array([0.5, 0.5]), np.array([0.25, 0.75]), 1.0, np.zeros((2, 2)))
    product = np.outer(problem.a, problem.b)
    scalings = np.log(problem.a), np.log(problem.b)
    assert accuracy.marginal_error(problem, accuracy.Answer(plan=product)) == 0
    exact = accuracy.Answer(log_scalings=scalings)
    assert accuracy.marginal_error(problem, exact) == pytest.approx(0, abs=1e-15)
    wrong = product + np.array([[0.0, 0.1], [0.0, 0.0]])
    found = accuracy.marginal_error(problem, accuracy.Answer(plan=wrong))
    assert found == pytest.approx(0.2)
    broken = accuracy.Answer(plan=product * np.nan)
    assert accuracy.marginal_error(problem, broken) == np.inf


def test_search_settles_on_a_setting_that_just_passes():
    next_effort = load("contest").next_effort

    def settle(error_of, by_iterations):
        trials = []
        while (effort := next_effort(trials, 1e-6, by_iterations)) is not None:
            trials.append((effort, error_of(effort)))
        return trials

    # A tolerance on another norm, 30 times looser than ours.
    efforts, errors = zip(*settle(lambda effort: 3e-5 / effort, False), strict=True)
    assert errors[-1] <= 1e-6
    assert efforts[-1] < 45
    # One that is needlessly tight at first.
    trials = settle(lambda effort: 1e-9 / effort, False)
    assert 1e-7 < trials[-1][1] <= 1e-6
    # Linear convergence in iterations, target met after 50 * 6.9.
    trials = settle(lambda effort: 10.0 ** (-6 * effort / 6.9), True)
    passed = [effort for effort, error in trials if error <= 1e-6]
    assert 6.9 <= min(passed) < 1.35 * 6.9
    # A floor above the target ends the search.
    assert len(settle(lambda _: 1e-5, False)) <= 5
    # Newton steps: the same answer for a range of tolerances, then one far better.
    assert settle(lambda effort: 2e-6 if effort < 9 else 1e-12, False)[-1][1] <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cloud", "batch", "points"])
def test_every_installed_contender_reaches_an_easy_target(family):
    contest, peers = load("contest"), load("peers")
    task = contest.Task(family, 12, 20.0, "", 1e-3, limit=20.0, repeats=1)
    names = [name for name, c in peers.contenders(task.kind).items() if c.installed]
    assert "numopt" in names
    outcomes = {name: contest.measure(task._replace(contender=name)) for name in names}
    assert {name: o for name, o in outcomes.items() if o.seconds is None} == {}


def test_a_solve_past_the_limit_is_a_failure():
    contest = load("contest")
    task = contest.Task("assign", 40, 50.0, "numopt", 1e-6, limit=1e-4)
    outcome = contest.measure(task)
    assert outcome.seconds is None
    assert outcome.why == "limit"


def test_report_prints_a_row_for_each_accuracy():
    command = [sys.executable, str(FOLDER / "report.py"), "--quick", "--peers", "regot"]
    done = subprocess.run(
        [*command, "--cases", "assign-40-50"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[1] for row in rows if row[0] == "assign-40-50"] == ["1e-06", "1e-10"]


def exact_backward_error(A, b, x):
    """Smallest perturbation of A and b, relative to A, from singular values (Higham and Sun)."""
    r, norm = b - A @ x, np.linalg.norm(A)
    theta2 = (norm / np.linalg.norm(b)) ** 2 * (x @ x)
    phi = np.sqrt(theta2 / (1 + theta2)) * np.linalg.norm(r) / np.linalg.norm(x)
    beside = phi * (np.eye(len(b)) - np.outer(r, r) / (r @ r))
    return min(phi, np.linalg.svd(np.hstack([A, beside]), compute_uv=False)[-1]) / norm


@pytest.mark.parametrize("size", [1e-1, 1e-4, 1e-8])
def test_yardstick_measures_the_backward_error(size):
    cases = load("regression_cases")
    rng = np.random.default_rng(3)
    A, b = rng.normal(size=(40, 5)) * np.logspace(0, -3, 5), rng.normal(size=40)
    x = np.linalg.lstsq(A, b)[0] * (1 + size * rng.normal(size=5))
    found = cases.Yardstick("dense", cases.Problem(A, b)).error(x)
    assert 0.6 < found / exact_backward_error(A, b, x) < 2.0
    assert cases.Yardstick("dense", cases.Problem(A, b)).error(x * np.nan) == np.inf


def test_yardsticks_of_sketches_and_products():
    cases = load("regression_cases")
    rng = np.random.default_rng(3)
    A, p = rng.normal(size=(50, 4)), rng.normal(size=4)
    product = cases.Yardstick("product", cases.Problem(A, p))
    assert product.error(A.T @ (A @ p)) < 1e-14
    assert product.error(1.01 * A.T @ (A @ p)) == pytest.approx(0.01)
    sketch = cases.Yardstick("sketch", cases.Problem(A, p))
    assert sketch.error(1.25 * A) == pytest.approx(0.25)


def test_regression_matrices_are_what_they_are_called():
    cases = load("regression_cases")
    for name in ("B1", "B4", "B8-stencil"):
        case = cases.FULL[name]._replace(n=3000, d=30)
        A = cases.make(case).A
        A = A if isinstance(A, np.ndarray) else A.toarray()
        wanted = case.cond if case.matrix == "mixed" else 4 * 31**2 / np.pi**2
        assert 0.5 < np.linalg.cond(A) / wanted < 2.0


def test_a_least_squares_call_past_the_limit_is_a_failure(tmp_path):
    contest = load("regression_contest")
    outcome = contest.Contest("B1", tmp_path, 1e-4).measure("scipy gelsd", 1)
    assert outcome.seconds is None
    assert outcome.why == "limit"


def test_inaccurate_rivals_do_not_count():
    cases, contest, table = map(
        load, ("regression_cases", "regression_contest", "regression_table")
    )
    case = cases.CASES["B1"]
    good = contest.Outcome(2.0, 9.0, 4e-16)
    rough = contest.Outcome(1.0, 9.0, 4e-15)
    late = contest.Outcome(None, 9.0, why="limit")
    members = {"lsqr 1e-14": rough, "lsmr 1e-15": good, "lsmr 1e-14": late}
    assert table.fastest(members, case) == ("lsmr 1e-15", good)
    own = contest.Outcome(0.5, 9.0, 1e-16)
    assert table.speed_row("B1", case, own, "Krylov", members)["ratio"] == "4"
    row = table.speed_row("B1", case, own, "Krylov", {"lsmr 1e-14": late})
    assert (row["ratio"], row["best"]) == ("> 18", "none gets there")
    poor = own._replace(error=1e-15)
    assert table.speed_row("B1", case, poor, "Krylov", members)["met"] == "no"


def test_regression_report_prints_a_row_for_each_group():
    command = [sys.executable, str(FOLDER / "regression_report.py"), "--quick", "--cases", "B5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert sum(row[0] == "B5" for row in rows) == 2


def test_sampling_report_prints_its_tables():
    command = [sys.executable, str(FOLDER / "sampling_report.py"), "--quick"]
    done = subprocess.run(
        [*command, "--tables", "sizes", "speed", "--cases", "L5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "slope, log-log" in done.stdout
    assert "L5 Lewis p = 4" in done.stdout


@pytest.mark.parametrize(
    ("options", "package", "wanted"),
    [(["--cases", "B3", "B6"], "cmfrec", "B6"), (["--oversampling"], "scipy", "2.1")],
)
def test_completion_report_prints_its_tables(options, package, wanted):
    pytest.importorskip(package, reason=f"{package} is not installed")
    command = [sys.executable, str(FOLDER / "completion_report.py"), "--quick"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert wanted in done.stdout


@pytest.mark.slow
def test_streaming_report_prints_its_tables():
    command = [sys.executable, str(FOLDER / "streaming_report.py"), "--quick", "--tables"]
    done = subprocess.run(
        [*command, "accuracy", "speed", "sparse", "disk"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for word in ("basis rows", "Frequent Directions", "float64, IncrementalPCA", "plain reading"):
        assert word in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("table", ["relu_iteration", "relu_patterns", "relu_large", "relu_classes"])
def test_relu_tables_at_their_smallest(table):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    if table == "relu_large":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    command = [sys.executable, FOLDER / "relu_report.py", "--tables", table, "--cases", "small"]
    done = subprocess.run(
        [*command, "--splits", "1", "--dry"], capture_output=True, text=True, check=True
    )
    found = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert found
    assert all(len(row) == len(found[0]) for row in found)
