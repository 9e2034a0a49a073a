"""Every kernel, in every implementation, computes what its definition says.

To add a kernel: its cases below, and its definition in definitions.py.
"""

import importlib
import math
from typing import Any, NamedTuple

import cases_recovery
import cases_regression
import cases_sampling
import definitions_transport as definitions
import numba
import numpy as np
import pytest
from array_api_extra.testing import assert_close
from cases_completion import completion_cases, large_completion
from cases_kaczmarz import kaczmarz_cases, large_kaczmarz
from cases_relu import large_relu_arguments, relu_cases
from cases_row_sums import SUMS_OF_THREADS, large_row_sums, row_sum_cases
from cases_streaming import large_streaming_arguments, streaming_cases
from definitions_transport import dense_cost
from libraries import LIBRARIES, ROOT, to_numpy
from scipy.sparse import csr_array
from structure import parameters, public_functions, reference_kernels

from numopt._core import dispatch
from numopt._kernels import transport

# Rounding errors may be this many eps times the scale that a definition gives.
ROUNDING = 8
METRICS = {"sqeuclidean": 0, "euclidean": 1, "cityblock": 2}


class Case(NamedTuple):
    """Arguments of a kernel, as NumPy arrays and numbers."""

    family: str
    name: str
    label: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name}-{self.label}"


class Setting(NamedTuple):
    """A cost with scalings that make it a plan with about uniform rows."""

    cost: Any
    u: np.ndarray
    v: np.ndarray
    inverse_reg: float


def setting(cost, inverse_reg, seed=0):
    rng = np.random.default_rng(seed)
    dense = dense_cost(cost).astype(float)
    n, m = dense.shape
    v = rng.normal(size=m)
    exponents = v[None, :] - dense * inverse_reg
    peak = exponents.max(axis=1)
    u = -math.log(n) - peak - np.log(np.exp(exponents - peak[:, None]).sum(axis=1))
    return Setting(cost, u, v, inverse_reg)


def matrices():
    rng = np.random.default_rng(1)
    yield "plain", setting(rng.random((13, 11)), 8.0)
    yield "one-row", setting(rng.random((1, 9)), 8.0)
    yield "one-column", setting(rng.random((9, 1)), 8.0)
    yield "one-entry", setting(rng.random((1, 1)), 8.0)
    yield "many-rows", setting(rng.random((45, 16)), 1 / 0.3)
    yield "many-columns", setting(rng.random((3, 203)), 32.0)
    yield "negative", setting(-5 - rng.random((6, 7)), 8.0)
    yield "huge-range", setting(1e4 * rng.random((12, 10)), 1.0)
    yield "ties", setting(rng.integers(2, size=(8, 16)).astype(float), 4.0)
    # A row and a column in which every entry of the plan underflows.
    plain = setting(rng.random((10, 12)), 8.0)
    u, v = plain.u.copy(), plain.v.copy()
    u[3], v[5] = -2000.0, -2000.0
    yield "underflow", Setting(plain.cost, u, v, 8.0)


def clouds():
    rng = np.random.default_rng(2)
    for metric, code in METRICS.items():
        X, Y = rng.random((9, 2)), rng.random((14, 2))
        Y[:4] = X[2:6]  # coincident points, where two of the metrics have no gradient
        yield f"{metric}-plane", setting((X, Y, code), 16.0)
        # Sorted points at a small regularization: most of a row carries no mass.
        X, Y = np.sort(rng.random((20, 1)), axis=0), np.sort(rng.random((300, 1)), axis=0)
        yield f"{metric}-line", setting((X, Y, code), 4096.0)
        yield f"{metric}-single", setting((rng.random((1, 3)), rng.random((1, 3)), code), 8.0)
    yield "many-dimensions", setting((rng.random((8, 20)), rng.random((11, 20)), 0), 2.0)
    yield "equal", setting((np.ones((5, 2)), np.ones((6, 2)), 1), 8.0)


SETTINGS = dict(matrices()) | dict(clouds())


def semidual_arguments(setting, rng):
    a = rng.random(setting.u.size) + 0.1
    return setting.cost, setting.v, a, np.log(a), setting.inverse_reg


def thresholds(setting, rng):
    """Return thresholds that no entry is close to, but some meet exactly where costs are tied."""
    dense = dense_cost(setting.cost).astype(float)
    exponents = setting.u[:, None] + setting.v[None, :] - dense * setting.inverse_reg
    rows = np.quantile(exponents, 0.8, axis=1) + 0.1 * rng.random(setting.u.size)
    columns = np.quantile(exponents, 0.9, axis=0) + 0.1 * rng.random(setting.v.size)
    rows[0], columns[-1] = 1e3, 1e3  # a row and a column that keep nothing of their own
    return rows, columns


def tied():
    """Return a setting with thresholds that entries meet exactly, in either precision."""
    rng = np.random.default_rng(3)
    cost = rng.integers(3, size=(9, 13)).astype(float)
    u, v = -rng.integers(4, size=9) / 4, -rng.integers(4, size=13) / 4
    return Setting(cost, u, v, 0.5), (np.full(9, -1.0), np.full(13, -0.75))


def sparsify_settings():
    for label, case in SETTINGS.items():
        yield label, case, thresholds(case, np.random.default_rng(4))
    yield "met-exactly", *tied()
    plain = SETTINGS["plain"]
    yield "everything", plain, (np.full(13, -1e3), np.full(11, -1e3))
    yield "nothing", plain, (np.full(13, 1e3), np.full(11, 1e3))


def sparse_plan(n, m, density, seed=5):
    """Return a random sparse plan as CSR arrays, and its marginals with a little lost mass."""
    rng = np.random.default_rng(seed)
    plan = np.where(rng.random((n, m)) < density, rng.random((n, m)), 0)
    rows, columns = np.nonzero(plan)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    a, c = plan.sum(axis=1) + 0.01, plan.sum(axis=0) + 0.01
    return (plan[rows, columns], columns.astype(np.int32), indptr.astype(np.int64)), a, c


def schur_settings():
    rng = np.random.default_rng(6)

    def arguments(n, m, density, shift, rtol=1e-4, maxiter=50):
        matrix, a, c = sparse_plan(n, m, density)
        rhs = rng.normal(size=m) * c
        return *matrix, a, c, shift, rhs - rhs.mean(), rtol, maxiter

    yield "plain", arguments(14, 11, 0.4, 0.1)
    yield "dense", arguments(6, 9, 1.0, 0.5)
    yield "one-row", arguments(1, 9, 0.7, 0.25)
    # One column's right side is not zero here: it has nothing to balance it.
    matrix, a, c = sparse_plan(9, 1, 0.7)
    yield "one-column", (*matrix, a, c, 0.25, np.array([0.5]), 1e-4, 50)
    yield "empty-rows-and-columns", arguments(30, 20, 0.05, 0.25)
    yield "no-entries", arguments(4, 5, 0.0, 0.25)
    yield "stopped-early", arguments(14, 11, 0.4, 0.1, rtol=1e-12, maxiter=3)
    yield "no-iterations", arguments(14, 11, 0.4, 0.1, maxiter=0)
    zero = list(arguments(14, 11, 0.4, 0.1))
    zero[6] = np.zeros(11)
    yield "zero-right-side", tuple(zero)
    wide = list(arguments(14, 11, 0.4, 0.1))
    wide[1] = wide[1].astype(np.int64)
    yield "wide-indices", tuple(wide)


def cases():
    rng = np.random.default_rng(7)
    for label, arguments in kaczmarz_cases():
        yield Case("kaczmarz", "kaczmarz_sweep", label, arguments)
    for label, case in SETTINGS.items():
        cost, u, v, inverse_reg = case
        n, m = u.size, v.size
        made = {
            "semidual_pass": semidual_arguments(case, rng),
            "plan_stats": (cost, u, v, inverse_reg, rng.normal(size=n)),
            "plan_matrix": (cost, u, v, inverse_reg),
            "plan_apply": (cost, u, v, inverse_reg, rng.normal(size=(m, 3))),
            "plan_apply_t": (cost, u, v, inverse_reg, rng.normal(size=(n, 2))),
        }
        if isinstance(cost, tuple):
            made["plan_gradient"] = cost, u, v, inverse_reg
        for name, arguments in made.items():
            yield Case("transport", name, label, arguments)
    for label, case, (rows, columns) in sparsify_settings():
        arguments = case.cost, case.u, case.v, rows, columns, case.inverse_reg
        counts = definitions.sparsify_count(*arguments)[0][0]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        yield Case("transport", "sparsify_count", label, arguments)
        yield Case("transport", "sparsify_fill", label, (*arguments, indptr))
        vectors = rng.random(case.u.size), rng.normal(size=case.v.size)
        yield Case("transport", "gram_apply", label, (*arguments, *vectors))
    for label, arguments in schur_settings():
        yield Case("schur", "schur_cg", label, arguments)
        data, indices, indptr, a, *options = arguments
        plan = csr_array((data, indices, indptr), shape=(a.size, options[0].size)).toarray()
        yield Case("schur", "dense_schur_cg", label, (plan, a, *options))
    for arguments in cases_regression.cases():
        yield Case(*arguments)
    for name, label, arguments in cases_sampling.cases():
        yield Case("sampling", name, label, arguments)
    yield from (Case("recovery", *item) for item in cases_recovery.cases())
    families = {"relu": relu_cases, "completion": completion_cases, "row_sums": row_sum_cases}
    for family, own in ((family, made()) for family, made in families.items()):
        yield from (Case(family, name, label, tuple(given)) for name, label, given in own)


CASES = [*cases(), *(Case("streaming", *item) for item in streaming_cases())]
# These return indices or take them.
INDEXING = {"sparsify_count", "sparsify_fill", "schur_cg", "sparse_embedding_apply_csr"} | {
    name for name, _, _ in completion_cases()
}
# Where the reference is all there is.
REFERENCES = {"residual_gradient_extended", "masked_ls_sketch"}
COMPILED = [case for case in CASES if case.name not in REFERENCES]


def rounded(argument, dtype):
    """Return an argument with its floats rounded to a dtype, as the kernels will get it."""
    if isinstance(argument, tuple):
        return tuple(rounded(item, dtype) for item in argument)
    if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
        return argument.astype(dtype)
    return argument


def placed(argument, lib, dtype):
    """Return an argument on the device of a library."""
    if isinstance(argument, tuple):
        return tuple(placed(item, lib, dtype) for item in argument)
    if not isinstance(argument, np.ndarray):
        return argument
    return lib.asarray(argument, dtype if argument.dtype.kind == "f" else None)


def several(result):
    """Return what a kernel returned as a tuple."""
    return result if isinstance(result, tuple) else (result,)


def check(case, actual, lib, dtype):
    """Assert that what a kernel returned, for arguments rounded to a dtype, is right."""
    arguments = rounded(case.arguments, dtype)
    if case.name in ("sparsify_count", "sparsify_fill", "gram_apply"):
        error = np.finfo(dtype).eps * definitions._magnitude(*arguments[:3], arguments[5])
        assert definitions.margin(*arguments) > error, "the case is at the mercy of rounding"
    expected = getattr(definitions, case.name)(*arguments)
    eps = float(np.finfo(dtype).eps)
    for value, (wanted, scale) in zip(several(actual), expected, strict=True):
        if isinstance(value, int):
            assert value == wanted or lib.widest == "float32"
        elif isinstance(value, float):
            assert abs(value - wanted) <= ROUNDING * eps * scale
        elif np.asarray(wanted).dtype.kind == "i":
            assert "int" in str(value.dtype)
            np.testing.assert_array_equal(to_numpy(value), wanted)
        else:
            wanted = lib.asarray(np.asarray(wanted, dtype=dtype), dtype)
            assert_close(value, wanted, rtol=0, atol=ROUNDING * eps * scale)


def kernel_of(case):
    return getattr(importlib.import_module(f"numopt._kernels.{case.family}"), case.name)


def run(case, lib, dtype):
    return kernel_of(case)(*placed(rounded(case.arguments, dtype), lib, dtype))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_is_its_definition(lib, case):
    if case.name in INDEXING and not lib.indexing:
        # array_api_strict 2.6 returns int64 indices on a device that has none, and refuses them
        # itself. Once it does not, this fails, and these kernels join the others.
        with pytest.raises(ValueError, match=r"no_x64.*does not support dtype=.*int64"):
            run(case, lib, "float32")
        return
    for dtype in lib.floats:
        check(case, run(case, lib, dtype), lib, dtype)
    assert lib.floats


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_compiled_kernel_is_reached(case, monkeypatch):
    reached = []

    def spy(backend, family, name):
        fast = find(backend, family, name)
        return lambda *args: reached.append((backend, family, name)) or fast(*args)

    find = dispatch.find
    monkeypatch.setattr(dispatch, "find", spy)
    kernel_of(case)(*case.arguments)
    assert reached == [("numba", case.family, case.name)]


def large_arguments():
    """Return, for every kernel, arguments large enough for several threads."""
    rng = np.random.default_rng(8)
    yield "kaczmarz", "kaczmarz_sweep", large_kaczmarz()
    X, Y = rng.random((500, 2)), rng.random((330, 2))
    dense = setting(dense_cost((X, Y, 0)).astype(float), 64.0)
    near = setting((X, Y, 0), 64.0)
    matrix, a, c = sparse_plan(400, 330, 0.8)
    rhs = rng.normal(size=330)
    yield "schur", "schur_cg", (*matrix, a, c, 0.05, rhs, 1e-8, 50)
    plan = csr_array(matrix, shape=(400, 330)).toarray()
    yield "schur", "dense_schur_cg", (plan, a, c, 0.05, rhs, 1e-8, 50)
    yield "transport", "plan_gradient", tuple(near)
    yield from (("relu", *item) for item in large_relu_arguments())
    yield from (("streaming", *item) for item in large_streaming_arguments())
    for case in (dense, near):
        cost, u, v, inverse_reg = case
        yield "transport", "semidual_pass", semidual_arguments(case, rng)
        yield "transport", "plan_stats", (cost, u, v, inverse_reg, rng.normal(size=500))
        yield "transport", "plan_matrix", (cost, u, v, inverse_reg)
        yield "transport", "plan_apply", (cost, u, v, inverse_reg, rng.normal(size=(330, 2)))
        yield "transport", "plan_apply_t", (cost, u, v, inverse_reg, rng.normal(size=(500, 2)))
        sparse = cost, u, v, *thresholds(case, rng), inverse_reg
        indptr = np.concatenate([[0], np.cumsum(definitions.sparsify_count(*sparse)[0][0])])
        yield "transport", "sparsify_count", sparse
        yield "transport", "sparsify_fill", (*sparse, indptr)
        yield "transport", "gram_apply", (*sparse, rng.random(500), rng.normal(size=330))
    yield from cases_regression.large_arguments()
    yield from (("recovery", *item) for item in cases_recovery.large())
    yield from (("completion", *item) for item in large_completion())
    yield from (("row_sums", *item) for item in large_row_sums())
    for name, arguments in cases_sampling.large():
        yield "sampling", name, arguments


@pytest.mark.parametrize(
    ("family", "name", "arguments"),
    [
        pytest.param(
            *item, id=f"{item[1]}-{'clouds' if isinstance(item[2][0], tuple) else 'array'}-{k}"
        )
        for k, item in enumerate(large_arguments())
    ],
)
def test_result_does_not_depend_on_the_number_of_threads(family, name, arguments):
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing runs in threads while NUMBA_DISABLE_JIT is set")
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("NUMBA_NUM_THREADS allows one thread only")
    fast = dispatch.find("numba", family, name)
    results = {}
    for threads in range(1, min(4, numba.config.NUMBA_NUM_THREADS) + 1):
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            results[threads] = fast(*arguments)
            again = fast(*arguments)
            assert numba.get_num_threads() == threads
        finally:
            numba.set_num_threads(before)
        for value, wanted in zip(several(again), several(results[threads]), strict=True):
            np.testing.assert_array_equal(value, wanted)
    assert len(results) >= 2
    if name in cases_regression.SUMS_OF_THREADS | SUMS_OF_THREADS:
        for result in results.values():
            check(Case(family, name, "large", arguments), result, LIBRARIES["numpy"](), "float64")
        return
    for other in results.values():
        for value, wanted in zip(several(other), several(results[1]), strict=True):
            np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("size", [0, 2**62], ids=["reference", "compiled"])
def test_column_sums_are_accumulated_in_double_precision(size, monkeypatch):
    """Many equal terms, where a sum in single precision would lose three digits."""
    monkeypatch.setattr(dispatch, "size_of", lambda _: size)
    n = 300_000
    cost, v = np.zeros((n, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)
    a = np.full(n, 1 / n, dtype=np.float32)
    expected = 0.5 * np.sum(a, dtype=np.float64)
    u, columns = transport.semidual_pass(cost, v, a, np.log(a), 1.0)
    np.testing.assert_allclose(columns, expected, rtol=2 * np.finfo(np.float32).eps)
    ones = np.ones(n, dtype=np.float32)
    expected = np.sum(np.exp(u.astype(float)))
    for sums in transport.plan_stats(cost + np.float32(1), u + 1, v, 1.0, ones)[1:]:
        np.testing.assert_allclose(sums, expected, rtol=8 * np.finfo(np.float32).eps)


def test_large_arguments_cover_every_kernel():
    assert {name for _, name, _ in large_arguments()} == {case.name for case in COMPILED}


def test_every_kernel_has_a_case_and_a_definition():
    kernels = {
        (path.stem, name)
        for path in (ROOT / "numopt/_kernels").glob("*.py")
        for name in reference_kernels(path)
    }
    assert kernels == {(case.family, case.name) for case in CASES}
    assert all(callable(getattr(definitions, name)) for _, name in kernels)


@pytest.mark.parametrize("package", ["numba_kernels", "numopt/_cupy_kernels"])
def test_fast_kernels_have_the_signature_of_a_reference(package):
    compared = 0
    for path in (ROOT / package).glob("[!_]*.py"):
        references = reference_kernels(ROOT / "numopt/_kernels" / path.name)
        for name, function in public_functions(path).items():
            assert name in references, f"{path.name}: {name} has no reference"
            assert parameters(function) == parameters(references[name]), name
            compared += 1
    assert compared > 0 or package == "numopt/_cupy_kernels"


def test_every_case_has_a_label_of_its_own():
    labels = [str(case) for case in CASES]
    assert len(labels) == len(set(labels))
