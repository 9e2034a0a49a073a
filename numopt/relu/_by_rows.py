"""Convex training on rows that lie on a cluster or in files: validate, survey, solve, certify."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

from .._core import validate
from .._core.iterate import Run
from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from .._core.random import place
from .._losses.pointwise import LOSSES
from .._rows import Cluster, RowBlocks, beside_like, is_dask
from ._facets import Facets, first_rows
from ._inputs import check_sums
from ._network import network_of
from ._program import group_norms
from ._result import ConvexReLUResult
from ._row_sums import Frame, Proof, Survey, Verdict, dual_at, patterns_at, theta_at, verdict_at
from ._sequence import Job, Passes, State, dual_scale, solved, surveyed
from ._verdict import PRECISION, Settings

# Share of a bound by which the other may exceed it through rounding alone.
_ROUNDING = 1e-12


class Found(NamedTuple):
    """What a solve on rows found, in the units of the user."""

    job: Job
    survey: Survey
    beta: float
    V: Array
    proof: Proof
    push: Array
    run: Run[State] | None


def trained_by_rows(
    X: Any,
    y: Any,
    *,
    beta: Any,
    loss: Any,
    n_patterns: Any,
    patterns: Any,
    fit_intercept: Any,
    sample_weight: Any,
    settings: Settings,
) -> ConvexReLUResult:
    """Return the result of training on rows that are gone through in blocks."""
    beta = validate.positive("beta", beta)
    loss = validate.choice("loss", loss, tuple(LOSSES))
    bias = validate.flag("fit_intercept", fit_intercept)
    blocks = _rows_of(X)
    gates = _gates(blocks, bias, n_patterns, patterns, settings)
    targets = _beside(blocks, "y", y)
    weights = None if sample_weight is None else _beside(blocks, "sample_weight", sample_weight)
    passes = Passes(blocks, targets, weights)
    frame = Frame(gates, loss, bias, blocks.shape[0])
    survey = surveyed(passes, frame, gates.shape[1])
    job = _job(passes, frame, survey, beta, settings)
    return _reported(_found(job, survey, beta, settings), settings)


def refuse_options(
    *, eps: Any, method: Any, refine: Any, x0: Any, rho: Any, stop: Any, polish: Any
) -> None:
    """Raise where an option is for samples in memory alone."""
    given = {
        "eps": (validate.real("eps", eps) != 0) if not hasattr(eps, "shape") else True,
        "method": method not in ("auto", "rows"),
        "refine": refine != 0,
        "x0": x0 is not None,
        "rho": rho is not None,
        "stop": stop != "gap",
        "polish": not polish,
    }
    values = {"eps": eps, "method": method, "refine": refine, "rho": rho, "stop": stop}
    wanted = {
        "eps": "0",
        "method": "'auto' or 'rows'",
        "refine": "0",
        "x0": "None",
        "rho": "None",
        "stop": "'gap'",
        "polish": "True",
    }
    for name, is_given in given.items():
        if is_given:
            got = f", got {values[name]!r}" if name in values else ""
            raise ValueError(
                f"`{name}` must be {wanted[name]} where the rows of `X` are gone through in "
                f"blocks{got}."
            )


def _rows_of(X: Any) -> RowBlocks:
    """Return the rows in the widest float of their library."""
    blocks = RowBlocks("X", X)
    wide = widest_float(blocks.like)
    return blocks if blocks.dtype == wide else RowBlocks("X", X, wide)


def _gates(
    blocks: RowBlocks, bias: bool, n_patterns: Any, patterns: Any, settings: Settings
) -> Array:
    """Return gates (P, d), drawn or given, having checked that their sums fit one memory."""
    count, d = validate.at_least_one("n_patterns", n_patterns), blocks.shape[1] + bias
    if patterns is not None:
        gates = _given_gates(blocks, d, patterns)
        count = gates.shape[0]
    check_sums(count, d, blocks.max_bytes, "allow more with row_blocks(X, max_bytes=...)")
    if patterns is None:
        xp = array_namespace(blocks.like)
        like = xp.zeros((1,), dtype=blocks.dtype, device=device_of(blocks.like))
        return place(settings.rng.standard_normal((count, d)), like)
    return gates


def _given_gates(blocks: RowBlocks, d: int, patterns: Any) -> Array:
    if is_dask(patterns) or patterns.dtype == array_namespace(blocks.like).bool:
        raise ValueError(
            f"`patterns` must be gates of shape ({d}, P) where the rows of `X` are gone through in "
            f"blocks, got an array of {patterns.dtype} of shape {tuple(patterns.shape)}."
        )
    validate.common_namespace(X=blocks.like, patterns=patterns)
    gates = validate.as_array("patterns", patterns, ndim=2, dtype=blocks.dtype)
    if gates.shape[0] != d:
        raise ValueError(
            f"`patterns` must be gates with {d} rows, one for each column of `X` and the bias, got "
            f"shape {tuple(gates.shape)}."
        )
    return validate.contiguous(validate.finite("patterns", gates).T)


def _beside(blocks: RowBlocks, name: str, x: Any) -> Any:
    """Return numbers (n,) that lie beside the rows, in their dtype and in their chunks."""
    cluster: Cluster | None = blocks.cluster
    like = beside_like(cluster, x)
    validate.common_namespace(**{"X": blocks.like, name: like})
    validate.common_float(**{name: like})
    n = blocks.shape[0]
    if tuple(x.shape) != (n,):
        raise ValueError(
            f"`{name}` must have shape ({n},) to match the rows of `X`, got {tuple(x.shape)}."
        )
    if cluster is not None and is_dask(x):
        return cluster.beside(name, x, blocks.dtype)
    return validate.as_array(name, x, ndim=1, dtype=blocks.dtype)


def _job(passes: Passes, frame: Frame, survey: Survey, beta: float, settings: Settings) -> Job:
    """Return the program over the distinct patterns in normalized units."""
    xp, rows = array_namespace(frame.gates), float(survey.rows)
    if not float(survey.weight) > 0 and not float(survey.fixed_weight) > 0:
        raise ValueError("`sample_weight` must have a positive entry.")
    index = _distinct(survey.shared)
    if rows == 0:
        index = index[:0]
    elif index.shape[0] == 0:
        raise ValueError("`patterns` must switch on at least one sample: all are empty.")
    gates = xp.take(frame.gates, index, axis=0)
    norms = group_norms(gates)[:, None]
    row = height = 1.0
    if rows > 0:
        row = math.sqrt(float(survey.squares) / rows)
        if frame.loss == "squared":
            height = math.sqrt(float(survey.heights) / rows) or 1.0
    kept = Facets(*[xp.take(x, index, axis=0) for x in survey.facets])
    return Job(
        passes,
        frame._replace(
            gates=gates / xp.where(norms > 0, norms, xp.ones_like(norms)), row=row, height=height
        ),
        first_rows(kept) if rows > 0 else kept.rows,
        beta / (row * height),
        float(survey.weight),
        float(survey.fixed) / height**2,
        settings.tol,
        passes.blocks.max_bytes,
        height**2,
    )


def _distinct(shared: Array) -> Array:
    """Return the patterns without repetitions and the empty one, by samples they share (P, P)."""
    xp = array_namespace(shared)
    counts = xp.linalg.diagonal(shared)
    # Two patterns are equal if and only if they share as many samples as each of them has.
    same = (shared == counts[:, None]) & (shared == counts[None, :])
    repeated = xp.any(xp.tril(same, k=-1), axis=1)
    (index,) = xp.nonzero(~repeated & (counts > 0))
    return index


def _found(job: Job, survey: Survey, beta: float, settings: Settings) -> Found:
    """Return what the solver found; zero where no network changes anything."""
    xp, frame = array_namespace(job.rows), job.frame
    patterns, d = frame.gates.shape
    if float(survey.rows) == 0:
        V = xp.zeros((2, patterns, d), dtype=job.rows.dtype, device=device_of(job.rows))
        return Found(job, survey, beta, V, Proof(V), V, None)
    run, bounds = solved(job, settings.maxiter, settings.callback)
    unit, slope = frame.height / frame.row, frame.height * frame.row
    given = job._replace(frame=frame._replace(row=1.0, height=1.0))
    proof = bounds.proof._replace(V=unit * bounds.proof.V)
    return Found(given, survey, beta, unit * bounds.V, proof, slope * bounds.push, run)


class Certificate(NamedTuple):
    """Both bounds, measured on what is returned, and what else the passes tell."""

    fun: float
    dual: float
    gap: float
    infeas: float
    net_fun: float
    scale: float


def _certified(found: Found) -> Certificate:
    """Return both bounds of the neurons returned: two passes over the rows."""
    xp, passes = array_namespace(found.V), found.job.passes
    frame = found.job.frame
    fixed = float(found.survey.fixed)
    seen = Verdict(*passes.fold(verdict_at, frame, found.V, found.proof))
    norms = found.beta * float(xp.sum(group_norms(found.V)))
    scale = 0.0
    if found.run is not None:
        scale = dual_scale(
            frame.loss == "squared", seen.pull, found.push, seen.linear, seen.square, found.beta
        )
    fun = float(seen.loss) + norms
    dual = float(passes.fold(dual_at, frame, found.proof, scale)) + fixed
    slack, short = math.sqrt(float(seen.slack)), math.sqrt(float(seen.violated))
    return Certificate(
        fun,
        dual,
        0.0 if fun - dual <= _ROUNDING * abs(fun) else (fun - dual) / abs(fun),
        short / slack if slack > 0 else 0.0,
        float(seen.network) + norms,
        scale,
    )


def _reported(found: Found, settings: Settings) -> ConvexReLUResult:
    """Return the result, its certificate computed again from the arrays it holds."""
    certificate = _certified(found)
    job, run, xp = found.job, found.run, array_namespace(found.V)
    passes, blocks, frame = job.passes, job.passes.blocks, job.frame
    theta = passes.rowwise(theta_at, frame, found.proof, certificate.scale)
    neurons = xp.permute_dims(found.V, (0, 2, 1))
    W1, w2 = network_of(found.V[None, ...])
    success = certificate.gap <= settings.tol and certificate.infeas == 0
    status = CONVERGED if run is None else run.status
    if success and status != STOPPED_BY_CALLBACK:
        status = CONVERGED
    elif status == CONVERGED:
        status = PRECISION
    nit = 0 if run is None else run.nit
    return ConvexReLUResult(
        x=xp.concat([neurons[0, ...], neurons[1, ...]], axis=1),
        coef_pos=neurons[0, ...],
        coef_neg=neurons[1, ...],
        patterns=_patterns(blocks, frame),
        gates=frame.gates.T,
        W1=W1,
        w2=w2[:, 0],
        fun=certificate.fun,
        dual=certificate.dual,
        gap=certificate.gap,
        output_fun=[certificate.fun],
        output_dual=[certificate.dual],
        infeas=certificate.infeas,
        net_fun=certificate.net_fun,
        theta=theta,
        violation=None,
        certified=None,
        success=success,
        status=status,
        message=_message(status, nit, certificate.gap, frame.gates.shape[0], settings),
        nit=nit,
        nfac=0 if run is None else run.state.factorizations,
        method="none" if nit == 0 else "rows",
        rho=None,
        beta=found.beta,
        loss=frame.loss,
        history=[] if run is None else run.history,
        n_passes=passes.n_passes,
        n_blocks=blocks.n_blocks,
        n_retries=blocks.n_retries,
    )


def _patterns(blocks: RowBlocks, frame: Frame) -> Any:
    """Return the patterns (n, P) in the chunks of the rows, computed when asked for; else None."""
    if blocks.cluster is None:
        return None
    xp, source = array_namespace(frame.gates), blocks.cluster.source
    return source.map_blocks(
        partial(patterns_at, frame.gates, frame.bias),
        dtype=xp.bool,
        chunks=(source.chunks[0], (frame.gates.shape[0],)),
        meta=xp.zeros((0, 0), dtype=xp.bool),
    )


def _message(status: int, nit: int, gap: float, patterns: int, settings: Settings) -> str:
    """Return what happened and, where it failed, what to try."""
    count = f"{nit} iteration" + ("" if nit == 1 else "s")
    reached = f"with a relative gap of {gap:.1e} (tol {settings.tol:.1e}) over {patterns} patterns"
    return {
        CONVERGED: f"Converged after {count} {reached}.",
        ITERATION_LIMIT: f"Stopped after {count} {reached}; raise maxiter or tol.",
        PRECISION: f"Stopped after {count} {reached} at the precision of the dtype; "
        "raise tol or standardize the features.",
        NON_FINITE: f"Stopped after {count} because a number was not finite; "
        "standardize the features.",
        STOPPED_BY_CALLBACK: f"Stopped by the callback after {count} {reached}.",
    }[status]
