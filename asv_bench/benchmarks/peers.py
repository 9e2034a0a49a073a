"""The contenders: numopt, and one thin adapter for each solver of each peer.

An adapter prepares whatever a user would keep between calls (layout, dtype, device arrays,
compiled functions) and returns ``solve(effort)``; only that call is timed. `effort` tightens the
solver's own stopping rule: a tolerance ``target / effort``, or ``50 * effort`` iterations where it
has no tolerance.
"""

import importlib
import importlib.util
import os
import warnings
from typing import NamedTuple

import numpy as np

from .accuracy import Answer

MANY = 1_000_000


class Contender(NamedTuple):
    """`package` must be installed; `by_iterations`: effort counts iterations."""

    peer: str
    package: str
    prepare: object
    options: dict
    by_iterations: bool = False

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(name) for name in self.package.split("+"))


# numopt


def numopt_solver(problem, target, **options):
    import numopt

    cost = problem.cost
    if cost is None:
        X, Y, scale = problem.points
        cost = numopt.PointCloudCost(X, Y, scale=scale)

    def solve(effort):
        result = numopt.entropic_transport(
            cost, problem.a, problem.b, reg=problem.reg, tol=target / effort, **options
        )
        names = ("n_passes", "nit_newton", "nit_cg", "nit_sinkhorn", "status")
        counts = {name: np.max((result | result.stats)[name]).item() for name in names}
        return from_potentials(problem, result.f, result.g, counts)

    return solve


def from_potentials(problem, f, g, counts=None):
    """Answer for potentials of the plan ``a b exp((f + g - cost) / reg)``."""
    u = np.log(problem.a) + np.asarray(f) / problem.reg
    return Answer(log_scalings=(u, np.log(problem.b) + np.asarray(g) / problem.reg), counts=counts)


# POT


def import_pot(library):
    # It imports every array library it finds, hundreds of megabytes, unless told not to.
    for name in ("PYTORCH", "JAX", "TENSORFLOW", "CUPY"):
        if not name.endswith(library.upper()):
            os.environ[f"POT_BACKEND_DISABLE_{name}"] = "1"
    return importlib.import_module("ot")


def pot_sinkhorn(problem, target, *, method, library="numpy", **options):
    ot = import_pot(library)
    a, b, cost = as_library(library, problem.a, problem.b, problem.cost)

    def solve_one(a, b, cost, tol):
        return ot.sinkhorn(
            a, b, cost, problem.reg, method=method, numItermax=MANY, stopThr=tol, **options
        )

    def solve(effort):
        if cost.ndim == 2:
            return Answer(plan=solve_one(a, b, cost, target / effort))
        each = zip(a, b, cost, strict=True)
        return Answer(plan=np.stack([solve_one(*member, target / effort) for member in each]))

    return solve


def pot_batch(problem, target, *, method, library):
    ot = import_pot(library)
    a, b, cost = as_library(library, problem.a, problem.b, problem.cost)

    def solve(effort):
        result = ot.batch.solve_batch(
            cost,
            problem.reg,
            a,
            b,
            max_iter=MANY,
            tol=target / effort,
            method=method,
            grad="detach",
        )
        return Answer(plan=result.plan)

    return solve


def pot_lazy(problem, target):
    ot = import_pot("numpy")
    X, Y, scale = problem.points
    X, Y = X * scale**0.5, Y * scale**0.5

    def solve(effort):
        f, g = ot.bregman.empirical_sinkhorn(
            X, Y, problem.reg, problem.a, problem.b, numIterMax=MANY, stopThr=target / effort,
            isLazy=True, batchSize=256,
        )  # fmt: skip
        return Answer(log_scalings=(np.asarray(f), np.asarray(g)))

    return solve


def as_library(library, *arrays):
    if library == "numpy":
        return arrays
    import torch

    return tuple(torch.from_numpy(array) for array in arrays)


# regot


def regot_solver(problem, target, *, method, **options):
    import regot

    function = getattr(regot, f"sinkhorn_{method}")
    cost = np.asfortranarray(problem.cost)

    def solve(effort):
        result = function(
            cost, problem.a, problem.b, problem.reg, tol=target / effort, max_iter=MANY, **options
        )
        return Answer(plan=result.plan)

    return solve


# ott-jax


def ott_solver(problem, target, *, start=None, decay=None, momentum=None, **options):
    import jax

    jax.config.update("jax_enable_x64", True)
    from ott.geometry.epsilon_scheduler import Epsilon
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear import acceleration, sinkhorn

    reg = problem.reg
    epsilon = Epsilon(reg, init=start / reg, decay=decay) if start else reg
    if momentum:
        options["momentum"] = acceleration.Momentum(**momentum)

    def run(a, b, arrays, tol):
        solver = sinkhorn.Sinkhorn(threshold=tol, max_iterations=MANY // 10, **options)
        out = solver(LinearProblem(ott_geometry(problem, arrays, epsilon), a=a, b=b))
        return out.f, out.g

    is_batch = problem.a.ndim == 2
    compiled = jax.jit(jax.vmap(run, in_axes=(0, 0, 0, None)) if is_batch else run)
    arrays = problem.cost if problem.points is None else problem.points[:2]
    a, b, arrays = jax.device_put((problem.a, problem.b, arrays))

    def solve(effort):
        f, g = jax.block_until_ready(compiled(a, b, arrays, target / effort))
        return Answer(log_scalings=(np.asarray(f) / reg, np.asarray(g) / reg))

    return solve


def ott_geometry(problem, arrays, epsilon):
    from ott import utils
    from ott.geometry import geometry, pointcloud

    if problem.points is None:
        return geometry.Geometry(cost_matrix=arrays, epsilon=epsilon)
    if not hasattr(utils.batching, "is_vmappable"):
        # ott 0.6.0 misses a function that JAX 0.9 moved; this is the fix its authors merged since.
        utils.batching = importlib.import_module("jax._src.interpreters.batching")
    scale = problem.points[2]
    return pointcloud.PointCloud(*arrays, epsilon=epsilon, batch_size=256, scale_cost=1.0 / scale)


# geomloss


def geomloss_solver(problem, target, *, backend, anneal):
    import geomloss

    # Its cost is |x - y|^2 / 2 for points. It has no stopping rule: the temperature blur^2 falls
    # from diameter^2 by a constant factor an iteration; a start next to the target holds it fixed.
    reg = problem.reg if problem.points is None else problem.reg / 2
    blur, factor = reg**0.5, problem.reg / reg
    diameter = 2.0**0.5 if anneal else blur * (1 + 1e-6)
    a, b = as_library("torch", problem.a, problem.b)
    X, Y, cost = geomloss_cost(problem)

    def solve(effort):
        loss = geomloss.SamplesLoss(
            "sinkhorn", p=2, blur=blur, diameter=diameter, debias=False, potentials=True,
            backend=backend, cost=cost, scaling=(blur / diameter) ** (1 / iterations(effort)),
        )  # fmt: skip
        f, g = loss(a, X, b, Y)
        shapes = problem.a.shape, problem.b.shape
        return from_potentials(problem, factor * f.view(shapes[0]), factor * g.view(shapes[1]))

    return solve


def geomloss_cost(problem):
    """Points and cost function; points that name their side stand for those of a cost matrix."""
    if problem.points is not None:
        X, Y, scale = problem.points
        return *as_library("torch", X * scale**0.5, Y * scale**0.5), None
    rows, columns = np.zeros((*problem.a.shape, 1)), np.ones((*problem.b.shape, 1))
    cost, transposed = as_library(
        "torch", problem.cost, np.ascontiguousarray(problem.cost.swapaxes(-1, -2))
    )
    cost, transposed = (C if C.ndim == 3 else C[None] for C in (cost, transposed))
    X, Y = as_library("torch", rows, columns)
    return X, Y, lambda x, _: transposed if bool(x.flatten()[0]) else cost


def iterations(effort):
    return max(2, round(50 * effort))


# The lists


def contenders(problem_kind):
    """Name -> Contender for ``"matrix"``, ``"batch"`` or ``"points"`` problems, numopt first."""
    return {"matrix": MATRIX, "batch": BATCH, "points": POINTS}[problem_kind]


NUMOPT = {"numopt": Contender("numopt", "numopt", numopt_solver, {})}


def pot(method, **options):
    package = "ot+torch" if options.get("library") == "torch" else "ot"
    return Contender("POT", package, pot_sinkhorn, {"method": method, **options})


def ott(**options):
    return Contender("ott", "ott", ott_solver, options)


def regot(method, **options):
    return Contender("regot", "regot", regot_solver, {"method": method, **options})


def geomloss(backend, *, anneal):
    package = "geomloss+torch" if backend == "tensorized" else "geomloss+pykeops+torch"
    options = {"backend": backend, "anneal": anneal}
    return Contender("geomloss", package, geomloss_solver, options, by_iterations=True)


OTT_VARIANTS = {
    "ott lse": ott(),
    "ott lse, adaptive momentum": ott(momentum={"start": 100, "inner_iterations": 10}),
    "ott lse, decaying epsilon": ott(start=0.05, decay=0.95),
}
GEOMLOSS_VARIANTS = {
    "geomloss, fixed epsilon": geomloss("tensorized", anneal=False),
    "geomloss, annealed": geomloss("tensorized", anneal=True),
}
MATRIX = {
    **NUMOPT,
    "regot ssns": regot("ssns"),
    "regot splr": regot("splr"),
    "regot splr, density 0.05": regot("splr", density=0.05),
    "regot sparse_newton": regot("sparse_newton"),
    "regot newton": regot("newton"),
    "regot lbfgs_dual": regot("lbfgs_dual"),
    "POT sinkhorn": pot("sinkhorn"),
    "POT sinkhorn_stabilized": pot("sinkhorn_stabilized"),
    "POT sinkhorn_epsilon_scaling": pot(
        "sinkhorn_epsilon_scaling", epsilon0=1.0, numInnerItermax=MANY
    ),
    "POT sinkhorn_log": pot("sinkhorn_log"),
    "POT sinkhorn_log, torch": pot("sinkhorn_log", library="torch"),
    "ott kernel": ott(lse_mode=False),
    **OTT_VARIANTS,
    **GEOMLOSS_VARIANTS,
}
BATCH = {
    **NUMOPT,
    "POT sinkhorn, loop": pot("sinkhorn"),
    "POT batch sinkhorn": Contender(
        "POT", "ot", pot_batch, {"method": "sinkhorn", "library": "numpy"}
    ),
    "POT batch sinkhorn, torch": Contender(
        "POT", "ot+torch", pot_batch, {"method": "sinkhorn", "library": "torch"}
    ),
    "POT batch log_sinkhorn, torch": Contender(
        "POT", "ot+torch", pot_batch, {"method": "log_sinkhorn", "library": "torch"}
    ),
    "ott kernel": ott(lse_mode=False),
    **OTT_VARIANTS,
    **GEOMLOSS_VARIANTS,
}
POINTS = {
    **NUMOPT,
    **OTT_VARIANTS,
    "geomloss online, fixed epsilon": geomloss("online", anneal=False),
    "geomloss online, annealed": geomloss("online", anneal=True),
    "geomloss multiscale": geomloss("multiscale", anneal=True),
    "POT empirical_sinkhorn, lazy": Contender("POT", "ot", pot_lazy, {}),
}


def is_installed(peer):
    return any(c.installed for c in MATRIX.values() if c.peer == peer)


def peer_of(name):
    return next(kind[name].peer for kind in (MATRIX, BATCH, POINTS) if name in kind)


def quiet():
    """Peers warn about what is measured here anyway."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
