"""What convex training wants of the rows: pure functions of a block, and how their results merge.

Every function takes what all blocks share first and then a block, its range of rows, targets and
weights. Within a block rows are taken some at a time, so that what is made of them stays small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of
from ..._kernels.least_squares import row_ranges
from ..._losses.pointwise import LOSSES, Loss
from .._program import group_norms, with_bias
from .active_set import ActiveRows, nearer, nearest, smallest_rows

# Entries of what is made of some rows at a time: 16 MB.
_ENTRIES = 1 << 21
# The share of theta whose dual value is formed, too: in between the dual is above its chord.
NEARLY = 0.999
# Widths of the smoothed hinge on either side within which samples count as close to its point.
_WIDTHS = 5
# Slacks within so many rounding errors of zero count as violated.
_MARGIN = 4.0


class Frame(NamedTuple):
    """What all passes share: gates (P, d) of unit norm, the loss, and the units of X and y."""

    gates: Array
    loss: str
    bias: bool
    n: int
    row: float = 1.0
    height: float = 1.0
    width: float = 0.0  # of the smoothed hinge


class Proof(NamedTuple):
    """What gives the theta of each row: slopes of the loss at neurons V (2, P, d), but for a few.

    `slopes` (k,) are those of the rows at the places `rows` (k,) in order, both None for no rows.
    """

    V: Array
    width: float = 0.0
    rows: Array | None = None
    slopes: Array | None = None


class Rows(NamedTuple):
    """Some rows in the units of a frame: samples, targets, weights and which of them matter.

    `safe` are weights without zeros, for divisions; where they were zeros nothing counts.
    """

    X: Array
    y: Array
    weights: Array
    safe: Array
    matters: Array
    gated: Array
    active: Array
    here: slice  # its rows in the block
    first: int  # its place among all rows

    @property
    def signs(self) -> Array:
        """The signs (P, n) of the slacks."""
        return 2 * self.active - 1


class Survey(NamedTuple):
    """What is known after the first pass: sizes, patterns, and the rows next to the gates."""

    rows: Array
    squares: Array
    heights: Array
    weight: Array
    fixed: Array
    fixed_weight: Array
    shared: Array
    active_rows: ActiveRows


class Sums(NamedTuple):
    """Sums at neurons: losses, dual values, and ``X' D theta`` for each pattern (P, d).

    `dual` and `nearly` are the dual values of theta and of `NEARLY` times it, `close` is how many
    samples are within some widths of their non-smooth points.
    """

    loss: Array
    smoothed: Array
    dual: Array
    nearly: Array
    linear: Array
    square: Array
    gradient: Array
    close: Array | float = 0.0


class Crossings(NamedTuple):
    """How far from its gate each neuron stays in its cone, the rows it crosses, losses on the way.

    `to_boundary` (2, P) is the share of the way from ``|v| gate`` to v, `losses` (k,) those at the
    given shares of a step.
    """

    to_boundary: Array
    active_rows: ActiveRows
    losses: Array


class Near(NamedTuple):
    """The hinge loss at neurons: its value, its slopes, and the samples nearest to their hinges.

    `gradient` (P, d) and `weight` are sums over all samples with a loss; the rows of `samples` are
    X, the patterns, y, weight and index of each, next to one another.
    """

    loss: Array
    gradient: Array
    weight: Array
    samples: ActiveRows


class Measured(NamedTuple):
    """Sums at neurons and dual variables that are returned.

    Losses of program and network, and what of them no network changes; squares of slacks; the
    gradient in the neurons of each pattern, and the parts of the dual objective.
    """

    loss: Array
    network: Array
    fixed: Array
    slack: Array
    violated: Array
    gradient: Array
    linear: Array
    square: Array
    dual: Array


def checked_survey(
    frame: Frame, count: int, block: Array, rows: slice, y: Array, weights: Any
) -> Survey:
    """Return what `survey` does, having checked the numbers of a block."""
    _checked(frame, block, rows, y, weights)
    return survey(frame, count, block, rows, y, weights)


def survey(frame: Frame, count: int, block: Array, rows: slice, y: Array, weights: Any) -> Survey:
    """Return what is to be known of a block; `count` rows are kept for a pattern."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp = array_namespace(part.X)
        fixed = _fixed(part)
        norms = group_norms(part.X)
        room = part.signs * part.gated / xp.where(norms > 0, norms, xp.ones_like(norms))
        room = xp.where(part.matters > 0, room, math.inf + 0 * room)
        active = part.active * part.matters
        found.append(
            Survey(
                xp.sum(part.matters),
                xp.sum(part.matters[:, None] * part.X * part.X),
                xp.sum(part.matters * part.y * part.y),
                xp.sum(part.weights * part.matters),
                _loss(frame).value(0 * part.y, part.y, fixed),
                xp.sum(fixed),
                xp.matmul(active, active.T),
                nearest(room, part.X, part.signs, count),
            )
        )
    return reduce(surveys_merged, found)


def surveys_merged(a: Survey, b: Survey) -> Survey:
    """Return what is known of the rows of both."""
    sums: Any = [x + y for x, y in zip(a[:-1], b[:-1], strict=True)]
    return Survey._make([*sums, nearer(a.active_rows, b.active_rows)])


def model_at(frame: Frame, V: Array, block: Array, rows: slice, y: Array, weights: Any) -> Any:
    """Return the sums at neurons V, and the second derivative of the loss (P d, P d)."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp = array_namespace(part.X)
        z = _prediction(part, V)
        curvature = part.weights * part.matters / _resistance(frame, part, z)
        seen = xp.sqrt(curvature)[:, None] * part.X
        features = xp.matmul(part.active.T[:, :, None], seen[:, None, :])
        features = xp.reshape(features, (seen.shape[0], -1))
        found.append((*_sums(frame, part, z), xp.matmul(features.T, features)))
    return reduce(_added, found)


def crossings(
    frame: Frame,
    V: Array,
    start: Array,
    shares: tuple[float, ...],
    count: int,
    block: Array,
    rows: slice,
    y: Array,
    weights: Any,
) -> Crossings:
    """Return what neurons V cross, and the losses on the way to them from those of `start`."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp = array_namespace(part.X)
        to_boundary = _to_boundary(part, V)
        groups = xp.reshape(to_boundary, (-1, to_boundary.shape[-1]))
        signs = xp.concat([part.signs, part.signs])
        z, z0 = _prediction(part, V), _prediction(part, start)
        losses = [_smoothed(frame, part, z0 + share * (z - z0)) for share in shares]
        found.append(
            Crossings(
                xp.min(to_boundary, axis=-1),
                nearest(xp.where(groups < 1, groups, math.inf), part.X, signs, count),
                xp.stack([*losses, xp.zeros_like(part.X[0, 0])]),
            )
        )
    return reduce(crossings_merged, found)


def crossings_merged(a: Crossings, b: Crossings) -> Crossings:
    """Return the crossings of the rows of both."""
    xp = array_namespace(a.to_boundary)
    return Crossings(
        xp.minimum(a.to_boundary, b.to_boundary),
        nearer(a.active_rows, b.active_rows),
        a.losses + b.losses,
    )


def hinges_at(
    frame: Frame, V: Array, count: int, block: Array, rows: slice, y: Array, weights: Any
) -> Near:
    """Return the hinge loss at neurons V, and the `count` samples nearest to their hinges."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp, loss = array_namespace(part.X), _loss(frame)
        z = _prediction(part, V)
        theta = _theta(frame, part, z)
        order = xp.where(part.matters > 0, xp.abs(1 - part.y * z), math.inf)[None, :]
        index = xp.arange(z.shape[0], dtype=z.dtype, device=device_of(z)) + part.first
        beside = xp.stack([part.y, part.weights, index], axis=1)
        table = xp.concat([part.X, part.active.T, beside], axis=1)
        found.append(
            Near(
                loss.value(z, part.y, part.weights),
                xp.matmul(part.active * theta, part.X),
                xp.sum(theta * part.y),
                smallest_rows(order, table, count),
            )
        )
    return reduce(near_merged, found)


def near_merged(a: Near, b: Near) -> Near:
    """Return the sums of both, and the samples of both nearest to their hinges."""
    sums: Any = [x + y for x, y in zip(a[:-1], b[:-1], strict=True)]
    return Near._make([*sums, nearer(a.samples, b.samples)])


def measured_at(
    frame: Frame, V: Array, block: Array, rows: slice, y: Array, weights: Any, dual: Array
) -> Any:
    """Return the sums at neurons V and dual variables that are returned."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp, loss = array_namespace(part.X), _loss(frame)
        responses = xp.matmul(V, part.X.T)
        inside = part.matters * part.signs * responses
        short = xp.clip(inside, None, 0.0)
        units = xp.clip(responses, 0.0, None)
        z = xp.sum(part.active * (responses[0, ...] - responses[1, ...]), axis=0)
        network = xp.sum(units[0, ...] - units[1, ...], axis=0)
        theta = part.matters * loss.admissible(dual[part.here], part.y, part.weights)
        made = Measured(
            loss.value(z, part.y, part.weights),
            loss.value(network, part.y, part.weights),
            loss.value(0 * part.y, part.y, _fixed(part)),
            xp.sum(inside * inside),
            xp.sum(short * short),
            xp.matmul(part.active * theta, part.X),
            xp.sum(theta * part.y),
            xp.sum(theta * theta / part.safe),
            loss.dual_value(theta, part.y, part.safe),
        )
        found.append(tuple(made))
    return reduce(_added, found)


def nearest_at(
    frame: Frame, points: Array, count: int, block: Array, rows: slice, y: Array, weights: Any
) -> ActiveRows:
    """Return the `count` rows that points (2, P, d) in the cones are closest to violating."""
    found = []
    for part in _slices(frame, block, rows, y, weights):
        xp = array_namespace(part.X)
        norms = group_norms(part.X)
        room = part.signs * xp.matmul(points, part.X.T)
        room = room / xp.where(norms > 0, norms, xp.ones_like(norms))
        room = xp.where(part.matters > 0, room, math.inf + 0 * room)
        room = xp.reshape(room, (-1, room.shape[-1]))
        signs = xp.concat([part.signs, part.signs])
        found.append(nearest(room, part.X, signs, count))
    return reduce(nearer, found)


def theta_at(
    frame: Frame, proof: Proof, scale: float, block: Array, rows: slice, y: Array, weights: Any
) -> Array:
    """Return ``scale theta`` for each row, for the theta of a proof."""
    found = [
        scale * _proved(frame, proof, part) for part in _slices(frame, block, rows, y, weights)
    ]
    return array_namespace(block).concat(found)


def patterns_at(gates: Array, bias: bool, block: Array, *_: Any) -> Array:
    """Return which rows are on under gates (P, d), (n, P)."""
    xp = array_namespace(block)
    X = xp.astype(block, gates.dtype, copy=False)
    return xp.matmul(with_bias(X) if bias else X, gates.T) >= 0


def _fixed(part: Rows) -> Array:
    """Return the weights of the samples that no network changes, zero for all others."""
    xp = array_namespace(part.X)
    return xp.astype((part.weights > 0) & (part.matters == 0), part.X.dtype) * part.weights


def _added(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _loss(frame: Frame) -> Loss:
    return LOSSES[frame.loss]


def _checked(frame: Frame, block: Array, rows: slice, y: Array, weights: Any) -> None:
    """Raise where a block holds what is no number, no label or no weight, naming its rows."""
    whole = rows.stop - rows.start == frame.n

    def name(of: str) -> str:
        return of if whole else f"{of}[{rows.start}:{rows.stop}]"

    xp = array_namespace(block)
    validate.finite(name("X"), block)
    validate.finite(name("y"), y)
    if not _loss(frame).scales and not bool(xp.all(xp.abs(y) == 1)):
        raise ValueError(f"`{name('y')}` must hold labels -1 and 1 for {frame.loss} loss.")
    if weights is not None:
        validate.non_negative(name("weights"), weights)


def _slices(frame: Frame, block: Array, rows: slice, y: Array, weights: Any) -> Iterator[Rows]:
    """Yield some rows at a time in the units of a frame."""
    xp = array_namespace(block)
    patterns, d = frame.gates.shape
    for part in row_ranges(block.shape[0], patterns * d, _ENTRIES):
        X = block[part, :]
        X = (with_bias(X) if frame.bias else X) / frame.row
        w = xp.ones_like(y[part]) if weights is None else weights[part]
        matters = xp.astype((w > 0) & xp.any(X != 0, axis=1), X.dtype)
        gated = xp.matmul(frame.gates, X.T)
        yield Rows(
            X,
            y[part] / frame.height,
            w,
            xp.where(w > 0, w, xp.ones_like(w)),
            matters,
            gated,
            xp.astype(gated >= 0, X.dtype),
            part,
            rows.start + part.start,
        )


def _prediction(part: Rows, V: Array) -> Array:
    xp = array_namespace(V)
    return xp.sum(part.active * xp.matmul(V[0, ...] - V[1, ...], part.X.T), axis=0)


def _theta(frame: Frame, part: Rows, z: Array) -> Array:
    """Return minus the slope of the loss, smoothed where it has to be; zero for idle rows."""
    counts = part.weights * part.matters
    if _loss(frame).smooth or frame.width == 0:
        return counts * _loss(frame).theta(z, part.y, array_namespace(z).ones_like(z))
    return counts * part.y * smoothed_hinge(1 - part.y * z, frame.width)[1]


def _proved(frame: Frame, proof: Proof, part: Rows) -> Array:
    """Return the theta of a proof for some rows."""
    theta = _theta(frame._replace(width=proof.width), part, _prediction(part, proof.V))
    if proof.rows is None or proof.rows.shape[0] == 0:
        return theta
    xp, index = array_namespace(theta), proof.rows
    here = xp.arange(theta.shape[0], dtype=index.dtype, device=device_of(index)) + part.first
    place = xp.clip(xp.searchsorted(index, here), 0, index.shape[0] - 1)
    known = xp.take(index, place) == here
    return xp.where(known, part.y * xp.take(proof.slopes, place), theta)


def _resistance(frame: Frame, part: Rows, z: Array) -> Array:
    if _loss(frame).smooth:
        smooth: Any = _loss(frame)
        return smooth.resistance(z, part.y, array_namespace(z).ones_like(z))
    return smoothed_hinge(1 - part.y * z, frame.width)[2]


def _smoothed(frame: Frame, part: Rows, z: Array) -> Array:
    """Return the loss, smoothed where it has to be."""
    if _loss(frame).smooth or frame.width == 0:
        return _loss(frame).value(z, part.y, part.weights)
    each = smoothed_hinge(1 - part.y * z, frame.width)[0]
    return array_namespace(z).sum(part.weights * each)


def _sums(frame: Frame, part: Rows, z: Array) -> Sums:
    xp, loss = array_namespace(z), _loss(frame)
    theta = _theta(frame, part, z)
    return Sums(
        loss.value(z, part.y, part.weights),
        _smoothed(frame, part, z),
        loss.dual_value(theta, part.y, part.safe),
        loss.dual_value(NEARLY * theta, part.y, part.safe),
        xp.sum(theta * part.y),
        xp.sum(theta * theta / part.safe),
        xp.matmul(part.active * theta, part.X),
        xp.sum(part.matters * xp.astype(xp.abs(1 - part.y * z) <= _WIDTHS * frame.width, z.dtype)),
    )


def smoothed_hinge(u: Array, width: float) -> tuple[Array, Array, Array]:
    """Return the hinge loss with barriers for its two slacks, its slope, and its resistance.

    ``min xi - w log xi - w log(xi - u)`` over ``xi > max(u, 0)`` for a width w: the slope in u runs
    from 0 to 1 over some widths about the hinge, and costs 2 w of the duality gap.
    """
    xp = array_namespace(u)
    size = xp.abs(u)
    root = xp.sqrt(u * u + 4 * width * width)
    large = 0.5 * (size + 2 * width + root)
    # The smaller of the two slacks, without cancellation.
    small = 0.5 * (2 * width + 4 * width * width / (root + size))
    above, beyond = xp.where(u >= 0, large, small), xp.where(u >= 0, small, large)
    value = above - width * (xp.log(above) + xp.log(beyond))
    return value, width / beyond, (above * above + beyond * beyond) / width


def _to_boundary(part: Rows, V: Array) -> Array:
    """Return which share of the way from ``|v| gate`` to v each row allows, (2, P, n)."""
    xp = array_namespace(V)
    norms = group_norms(V)[..., None]
    margin = _MARGIN * float(xp.finfo(V.dtype).eps) * norms * group_norms(part.X)
    inside = part.signs * xp.matmul(V, part.X.T)
    room = norms * (part.signs * part.gated)
    outside = (part.matters > 0) & (norms > 0) & (inside < margin)
    # A gate on the edge itself leads nowhere: there the neuron has to be inside on its own.
    outside = outside & ((room > 2 * margin) | (inside < 0))
    apart = xp.where(outside & (room > inside), room - inside, xp.ones_like(room))
    return xp.where(outside, xp.clip((room - margin) / apart, 0.0, 1.0), xp.ones_like(room))
