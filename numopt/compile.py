"""Compile kernels ahead of their first use: ``python -m numopt.compile [solver ...]``.

For images, continuous integration and shared machines: whoever runs a solver later loads what lies
in the cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._core import dispatch

# The families of kernels that each solver takes.
FAMILIES = {
    "transport": ("transport", "schur"),
    "regression": ("least_squares", "sketching"),
    "sampling": ("sampling", "least_squares", "sketching"),
    "completion": ("completion",),
    "recovery": ("recovery",),
    "constrained": ("row_sums", "kaczmarz", "sketching"),
    "relu": ("relu", "least_squares"),
    "streaming": ("streaming",),
}
DTYPES = ("float64", "float32")


class Sample(NamedTuple):
    """A kernel with arguments of the kind it is called with."""

    family: str
    name: str
    arguments: tuple[Any, ...]


def _sparse(n: int, d: int, draw: Callable[..., Any], index: str = "int32") -> tuple[Any, Any, Any]:
    """Return data, indices and pointers of a small sparse matrix without empty rows."""
    indices = np.tile(np.arange(3, dtype=index), n)
    indptr = np.arange(0, 3 * n + 1, 3, dtype=index)
    return draw(3 * n), indices % d, indptr


def _transport(draw: Callable[..., Any]) -> Iterator[Sample]:
    n, m = 6, 70
    u, v, a = draw(n), draw(m), draw(n)
    for cost in (draw(n, m), (draw(n, 2), draw(m, 2), 0)):
        made = {
            "semidual_pass": (v, a, a, 1.0),
            "plan_stats": (u, v, 1.0, u),
            "plan_matrix": (u, v, 1.0),
            "plan_apply": (u, v, 1.0, draw(m, 2)),
            "plan_apply_t": (u, v, 1.0, draw(n, 2)),
            "sparsify_count": (u, v, a, draw(m), 1.0),
            "sparsify_fill": (u, v, a + 9, draw(m) + 9, 1.0, np.zeros(n + 1, dtype=np.int64)),
            "gram_apply": (u, v, a, draw(m), 1.0, a, v),
        }
        if isinstance(cost, tuple):
            made["plan_gradient"] = u, v, 1.0
        for name, rest in made.items():
            yield Sample("transport", name, (cost, *rest))


def _schur(draw: Callable[..., Any]) -> Iterator[Sample]:
    data, indices, indptr = _sparse(6, 5, draw)
    a, c = draw(6) + 9, draw(5) + 9
    options = a, c, 0.1, draw(5), 1e-3, 5
    yield Sample("schur", "schur_cg", (data, indices, indptr.astype(np.int64), *options))
    yield Sample("schur", "dense_schur_cg", (draw(6, 5), *options))


def _least_squares(draw: Callable[..., Any]) -> Iterator[Sample]:
    A = draw(9, 3)
    yield Sample("least_squares", "gram", (A, draw(9), None))
    yield Sample("least_squares", "residual_gradient", (A, draw(9, 1), draw(3, 1), draw(9)))


def _sketching(draw: Callable[..., Any]) -> Iterator[Sample]:
    A, B, n = draw(70, 18), draw(70, 1), 70
    buckets = np.zeros((n, 2), dtype=np.int64)
    rows = np.arange(8, dtype=np.int64)
    yield Sample("sketching", "fwht_rows", (draw(8, 3),))
    yield Sample("sketching", "srht_apply", (A, B, draw(n), rows, 0))
    yield Sample("sketching", "sparse_embedding_apply", (A, B, buckets, draw(n, 2), 4))
    given = (*_sparse(n, 5, draw), buckets, draw(n, 2), 4, 5)
    yield Sample("sketching", "sparse_embedding_apply_csr", given)


def _sampling(draw: Callable[..., Any]) -> Iterator[Sample]:
    x = [draw(9) + 1 for _ in range(9)]
    yield Sample("sampling", "weighted_gram", (draw(9, 3), draw(9)))
    yield Sample("sampling", "row_quadform", (draw(9, 3), draw(3, 3)))
    yield Sample("sampling", "box_curvature", tuple(x[:5]))
    yield Sample("sampling", "box_targets", (*x[:7], 0.5))
    yield Sample("sampling", "box_direction", tuple(x))
    yield Sample("sampling", "power_terms", (x[0], x[1], 1.5, 0.0))
    yield Sample("sampling", "power_slope", (x[0], x[1], x[2], 1.5, 0.0, 0.5))


def _row_sums(draw: Callable[..., Any]) -> Iterator[Sample]:
    A, b, w, x = draw(9, 3), draw(9), draw(9), draw(3)
    yield Sample("row_sums", "loss_gradient", (A, b, w, x, 0, 1.0))
    yield Sample("row_sums", "loss_hessian", (A, b, w, x, 0, 1.0))
    yield Sample("row_sums", "csr_weighted_gram", (*_sparse(9, 5, draw), w, 5))


def _kaczmarz(draw: Callable[..., Any]) -> Iterator[Sample]:
    numbers = np.zeros(2, dtype=np.int64)
    yield Sample("kaczmarz", "kaczmarz_sweep", (draw(3, 3), draw(3), draw(3), draw(3), numbers))


def _completion(draw: Callable[..., Any]) -> Iterator[Sample]:
    sparse = _sparse(6, 5, draw, "int64")
    W, X, reg = draw(5, 2), draw(6, 2), draw(6) + 1
    yield Sample("completion", "masked_ls_pcg", (*sparse, None, W, X, reg, 2, 0.1))
    yield Sample("completion", "masked_ls_exact", (*sparse, None, W, X, reg))
    yield Sample("completion", "masked_ls_nonneg", (*sparse, None, W, X, reg, 2))
    yield Sample("completion", "masked_grams", (*sparse, None, W))
    yield Sample("completion", "masked_residual", (*sparse, X, W))
    yield Sample("completion", "csr_dense", (*sparse, W))


def _recovery(draw: Callable[..., Any]) -> Iterator[Sample]:
    values, L, R = draw(6, 5), draw(6, 2), draw(5, 2)
    counts = np.full(6, 5, dtype=np.int64)
    columns = np.tile(np.arange(5, dtype=np.int64), (6, 1))
    none = values[:0, :0]
    yield Sample("recovery", "l1_sense_fused", (draw(9, 3), draw(3), draw(9), draw(9)))
    yield Sample("recovery", "row_quantile_abs", (values, counts, 0.5))
    yield Sample("recovery", "entry_residuals", (values, columns, counts, L, R))
    yield Sample("recovery", "entry_products", (values, columns, R))
    yield Sample("recovery", "entry_sign_step", (values, columns, counts, none, L, R, 0.5))
    given = (values, columns, counts, none, L, R, 0.5, 1.0, 0.1)
    yield Sample("recovery", "entry_reweighted_step", given)


def _relu(draw: Callable[..., Any]) -> Iterator[Sample]:
    n, d = 6, 3
    signs, eps = np.sign(draw(2, n) - 0.5).astype(draw(1).dtype), draw(d)
    rows = draw(n, d), draw(n, d), draw(n), draw(n) + 1, eps, 1.0
    yield Sample("relu", "reflect_slacks", (draw(2, 2, n), draw(2, 2, n), signs, 1.5))
    yield Sample("relu", "fold_slacks", (draw(1, 2, 2, n), draw(1, n), signs))
    yield Sample("relu", "project_robust_cone", (draw(4, n), draw(4, d), eps, 0.0))
    yield Sample("relu", "prox_robust_margin", (*rows, True))
    yield Sample("relu", "prox_robust_square", rows)


def _streaming(draw: Callable[..., Any]) -> Iterator[Sample]:
    X, B, v, s = draw(9, 5), draw(3, 5), draw(5), draw(1)
    sparse = _sparse(9, 5, draw)
    yield Sample("streaming", "gram_product", (X, draw(5, 1)))
    yield Sample("streaming", "merge_truncate", (B, X, 4, False))
    yield Sample("streaming", "adaoja_pass", (X, v, s))
    yield Sample("streaming", "oja_pass", (X, draw(5, 2), draw(2), draw(2)))
    yield Sample("streaming", "csr_gram_product", (*sparse, draw(5, 2)))
    yield Sample("streaming", "csr_merge_truncate", (*sparse, B, 4))
    yield Sample("streaming", "csr_adaoja_pass", (*sparse, v, s))


_MAKERS = {name[1:]: make for name, make in list(globals().items()) if name[1:] in {
    family for families in FAMILIES.values() for family in families
}}  # fmt: skip


def samples(family: str, dtype: str) -> list[Sample]:
    """Return small arguments for every compiled kernel of a family."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return rng.random(shape).astype(dtype)

    return list(_MAKERS[family](draw))


def main(arguments: list[str] | None = None) -> int:
    """Compile what the command line asks for; print a line for each kernel."""
    parser = argparse.ArgumentParser(prog="python -m numopt.compile", description=__doc__)
    parser.add_argument(
        "solvers", nargs="*", help=f"of {', '.join(FAMILIES)}; all if none is named"
    )
    parser.add_argument("--dtype", choices=DTYPES, action="append", help="both if not given")
    parser.add_argument("--record", type=Path, help="a file for the CPU seconds of each kernel")
    given = parser.parse_args(arguments)
    unknown = set(given.solvers) - set(FAMILIES)
    if unknown:
        parser.error(f"no solver is called {sorted(unknown)[0]!r}; there are {', '.join(FAMILIES)}")
    solvers = given.solvers or list(FAMILIES)
    families = dict.fromkeys(family for solver in solvers for family in FAMILIES[solver])
    todo = [
        sample
        for dtype in given.dtype or DTYPES
        for family in families
        for sample in samples(family, dtype)
    ]
    begin, taken = time.perf_counter(), dict[str, float]()
    for number, sample in enumerate(todo, 1):
        before = time.process_time()
        if not dispatch.compile_ahead(*sample):
            print("Numba cannot be imported, so there is nothing to compile.", file=sys.stderr)  # noqa: T201
            return 1
        name, seconds = f"{sample.family}.{sample.name}", time.process_time() - before
        taken[name] = taken.get(name, 0.0) + seconds
        done = "#" * (20 * number // len(todo))
        print(f"[{done:<20}] {name} {seconds:.2f} s of CPU time", flush=True)  # noqa: T201
    seconds = time.perf_counter() - begin
    print(f"{len(taken)} kernels in {seconds:.1f} s, {sum(taken.values()):.1f} of CPU time")  # noqa: T201
    if given.record is not None:
        given.record.write_text(json.dumps({k: round(v, 2) for k, v in taken.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
