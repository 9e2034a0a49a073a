"""Every public name: its documentation, its signature, and the fields it returns."""

import ast
import inspect
import re
import tomllib

import numpy as np
import pytest
from libraries import ROOT
from structure import tree

import numopt

FUNCTIONS = [n for n in numopt.__all__ if inspect.isfunction(getattr(numopt, n))]
CLASSES = [n for n in numopt.__all__ if inspect.isclass(getattr(numopt, n))]
PLOTS = [
    f"plotting.{name}"
    for name, item in vars(numopt.plotting).items()
    if inspect.isfunction(item)
    and item.__module__ == numopt.plotting.__name__
    and not name.startswith("_")
]
# What may be given by position besides arrays.
POSITIONAL = {
    "matrix_completion": {"rank"},
    "PointCloudCost": {"metric", "scale"},
    "ProgressBar": {"description"},
    "minimize_equality": {"args"},
    "lp_regression": {"p"},
    "top_eigenvector": {"k"},
}
SECTION = re.compile(r"^(\w[\w ]*)\n-+$", re.MULTILINE)
FIELD = re.compile(r"^([*\w][\w, *]*) : ", re.MULTILINE)


def public(name):
    item = numopt
    for part in name.split("."):
        item = getattr(item, part)
    return item


def sections(item):
    """Return the sections of a docstring, each with its text."""
    parts = SECTION.split(inspect.getdoc(item))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names(text):
    """Return the names that a section documents."""
    return [name.strip(" *") for group in FIELD.findall(text) for name in group.split(",")]


def test_stub_lists_what_it_imports():
    body = tree(ROOT / "numopt/__init__.pyi").body
    imported = [a.asname for node in body if isinstance(node, ast.ImportFrom) for a in node.names]
    assert sorted(imported) == sorted(numopt.__all__)
    modules = [n for n in numopt.__all__ if inspect.ismodule(getattr(numopt, n))]
    assert len(FUNCTIONS + CLASSES + modules) + 1 == len(numopt.__all__)  # __version__


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES + PLOTS)
def test_docstring_has_its_sections(name):
    item = public(name)
    found = sections(item)
    assert ">>>" in found["Examples"]
    if inspect.isfunction(item):
        assert {"Parameters", "Returns", "Raises"} <= set(found)
    if name in FUNCTIONS:
        assert {"Notes", "References", "See Also"} <= set(found)
        assert ".. math::" in inspect.getdoc(item)
        assert re.search(r"arXiv:\d{4}\.\d{4,5}", found["References"])
    if name.endswith(("Result", "Batch")):
        assert "Attributes" in found


@pytest.mark.parametrize("name", [*FUNCTIONS, "PointCloudCost", "ProgressBar", *PLOTS])
def test_parameters_are_documented_in_order(name):
    parameters = [p for p in inspect.signature(public(name)).parameters if p != "self"]
    documented = names(sections(public(name))["Parameters"])
    assert [n for n in documented if n not in ("options",)] == [
        p for p in parameters if p not in ("options",)
    ]


@pytest.mark.parametrize("name", [*FUNCTIONS, "PointCloudCost", "ProgressBar"])
def test_options_are_given_by_name(name):
    for parameter in inspect.signature(public(name)).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            is_array = parameter.default in (parameter.empty, None)
            assert is_array or parameter.name in POSITIONAL.get(name, ())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_are_documented(name):
    documented = sections(public(name))["Parameters"]
    for parameter in inspect.signature(public(name)).parameters.values():
        if parameter.default not in (parameter.empty, None):
            shown = repr(parameter.default).replace("'", '"')
            assert re.search(
                rf"^{parameter.name} : .*default {re.escape(shown)}$", documented, re.M
            )


COST = np.random.default_rng(0).random((4, 5))
X = np.linspace(0, 1, 5)[:, None]
A = np.random.default_rng(1).normal(size=(40, 3))
Z = np.random.default_rng(1).normal(size=(20, 2))
SENSED = np.random.default_rng(1).normal(size=(40, 3, 3))
LOW_RANK = np.outer(np.arange(1.0, 9), np.arange(2.0, 9))
SOLVES = {
    "MatrixCompletionResult": lambda: numopt.matrix_completion(LOW_RANK, 1),
    "MatrixCompletionResult-certified": lambda: numopt.matrix_completion(
        LOW_RANK, 1, reg=1.0, certify=True
    ),
    "MatrixCompletionResult-not-solved": lambda: numopt.matrix_completion(
        LOW_RANK, 1, reg=1.0, maxiter=0
    ),
    "RankPathResult": lambda: numopt.rank_path(LOW_RANK, [1], rng=0),
    "ConvexReLUResult": lambda: numopt.convex_relu(Z, abs(Z[:, 0]), beta=0.1, rng=0),
    "ConvexReLUResult-not-solved": lambda: numopt.convex_relu(
        Z, abs(Z[:, 0]), beta=0.1, maxiter=0, rng=0
    ),
    "SampledReLUResult": lambda: numopt.convex_relu_scp(
        Z, abs(Z[:, 0]), beta=0.1, n_hidden=30, rng=0
    ),
    "TransportResult": lambda: numopt.entropic_transport(COST, reg=0.1),
    "TransportResult-not-solved": lambda: numopt.entropic_transport(COST, reg=0.1, maxiter=0),
    "TransportBatch": lambda: numopt.entropic_transport(COST[None], reg=0.1),
    "EqualityResult": lambda: numopt.minimize_equality(lambda x: x @ x, np.ones(2)),
    "DivergenceResult": lambda: numopt.sinkhorn_divergence(X, X + 1, reg=0.1),
    "LstsqResult": lambda: numopt.lstsq(A, A[:, 0]),
    "LstsqResult-sketched": lambda: numopt.lstsq(A, A[:, 0], method="sketch", sketch_size=8),
    "KronResult": lambda: numopt.kron_lstsq([A, A], np.ones((40, 40))),
    "RecoveryResult": lambda: numopt.robust_low_rank_recovery(SENSED, 2 * SENSED[:, 0, 0]),
    "RecoveryResult-zero": lambda: numopt.robust_low_rank_recovery(SENSED, np.zeros(40)),
    "RobustPCAResult": lambda: numopt.robust_pca(np.outer(COST[0], COST[1]), 1),
    "RobustPCAResult-not-solved": lambda: numopt.robust_pca(COST, 2, maxiter=1),
    "ScoresResult": lambda: numopt.lp_scores(A, 1),
    "ScoresResult-not-solved": lambda: numopt.lp_scores(A, 1, maxiter=1),
    "ScoresResult-bounds": lambda: numopt.lp_scores(A, 3, kind="sensitivity", bounds=True),
    "ScoresResult-total": lambda: numopt.total_sensitivity(A, 3, rng=0),
    "CoresetResult": lambda: numopt.lp_coreset(A, 1, A[:, 0], sample_size=9, rng=0),
    "CoresetResult-stream": lambda: numopt.StreamingCoreset(1, 9, rng=0).partial_fit(A).result(),
    "LpResult": lambda: numopt.lp_regression(A, np.arange(40.0)),
    "LpResult-smooth": lambda: numopt.lp_regression(A, np.arange(40.0), 1.5),
    "LpResult-coreset": lambda: numopt.lp_regression(
        A, np.arange(40.0), 2, method="coreset", rng=0
    ),
    "EigenvectorResult": lambda: numopt.top_eigenvector(A, rng=0),
    "EigenvectorResult-not-solved": lambda: numopt.top_eigenvector(
        np.random.default_rng(0).normal(size=(900, 20)), rng=0
    ),
    "LpResult-not-solved": lambda: numopt.lp_regression(A, np.arange(40.0), maxiter=1),
}
# What the records of a history hold besides "nit" and "error".
TRANSPORT_RECORD = {"marginal_error", "reg", "nnz"}
COMPLETION_RECORD = {"seconds", "fun", "residual", "reg", "rank", "rmse"}
RECORDS = {
    "MatrixCompletionResult": COMPLETION_RECORD,
    "RankPathResult": COMPLETION_RECORD,
    "TransportResult": TRANSPORT_RECORD,
    "TransportBatch": TRANSPORT_RECORD,
    "DivergenceResult": TRANSPORT_RECORD,
    "LstsqResult": {"backward_error", "forward_error", "residual_norm", "grad_norm"},
    "KronResult": set(),
    "EqualityResult": {"fun", "optimality", "constr_violation", "step", "rtol", "inner"}
    | {"delta_w", "eta1", "eta2"},
    "RecoveryResult": {"fun", "scale", "rank", "seconds"},
    "RobustPCAResult": {"scale", "rank"},
    "ScoresResult": set(),
    "CoresetResult": {"size"},
    "LpResult": {"fun"},
    "EigenvectorResult": {"n_rows", "method_used"},
    "ConvexReLUResult": {"fun", "dual", "infeas", "output"},
    "SampledReLUResult": {"fun", "dual"},
}
# Numbers of a result that must be Python's, besides those that all results have.
NUMBERS = {
    "MatrixCompletionResult": {
        float: ["mu", "residual", "grad_norm", "oversampling", "p", "inner_iterations"],
        int: ["rank"],
    },
    "RankPathResult": {float: [], int: ["rank"]},
    "TransportResult": {float: ["marginal_error", "gap"], int: ["npass"]},
    "DivergenceResult": {float: ["marginal_error", "gap"], int: ["npass"]},
    "LstsqResult": {
        float: ["residual_norm", "grad_norm", "backward_error", "forward_error", "cond_estimate"],
        int: ["n_passes", "sketch_size", "rank"],
    },
    "KronResult": {float: ["residual_norm", "backward_error"], int: ["sketch_size", "rank"]},
    "EqualityResult": {float: ["optimality", "constr_violation"], int: ["ncev"]},
    "RecoveryResult": {
        float: ["sigma", "outlier_fraction", "consensus", "intercept", "step_final"],
        int: ["rank", "n_inliers"],
    },
    "RobustPCAResult": {
        float: ["sigma", "outlier_fraction", "consensus"],
        int: ["rank", "n_inliers"],
    },
    "ScoresResult": {
        float: ["total", "stderr", "residual"],
        int: ["rank", "n_solves", "n_passes"],
    },
    "CoresetResult": {float: ["expected_size"], int: ["size", "n_passes"]},
    "LpResult": {float: ["norm", "gap"], int: ["n_passes"]},
    "EigenvectorResult": {
        float: [
            *("frobenius2", "sin2_bound", "sin2_estimate", "residual2", "residual2_stderr"),
            *("order_pvalue", "gap_estimate"),
        ],
        int: ["n_rows", "n_heavy", "n_heavy_overflow", "memory_rows_used"],
    },
    "ConvexReLUResult": {float: ["gap"], int: []},
    "SampledReLUResult": {float: ["gap"], int: []},
}


@pytest.mark.parametrize("label", SOLVES)
def test_documented_fields_are_those_returned(label):
    name, result = label.partition("-")[0], SOLVES[label]()
    assert type(result) is public(name)
    assert isinstance(result, numopt.Result)
    documented = names(sections(public(name))["Attributes"])
    assert len(documented) == len(set(documented))
    assert set(documented) == set(result)
    common = names(sections(numopt.Result)["Attributes"])
    assert set(common) <= set(result)
    for record in result.history if name != "TransportBatch" else result.history[0]:
        assert {"nit", "error"} | RECORDS[name] == set(record)


@pytest.mark.parametrize("label", [label for label in SOLVES if label != "TransportBatch"])
def test_fields_have_plain_types(label):
    result = SOLVES[label]()
    numbers = NUMBERS[label.partition("-")[0]]
    kinds = {
        float: ["fun", *numbers[float]],
        bool: ["success"],
        int: ["status", "nit", *numbers[int]],
        str: ["message"],
        list: ["history"],
    }
    for kind, fields in kinds.items():
        assert [type(result[field]) for field in fields] == [kind] * len(fields)
    assert result.message.endswith(".")
    assert result.message[0].isupper()


def test_every_result_class_is_checked():
    results = {name for name in CLASSES if issubclass(public(name), numopt.Result)}
    assert {label.partition("-")[0] for label in SOLVES} == results - {"Result"}


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES + PLOTS)
def test_numpydoc_finds_nothing_to_say(name):
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed")
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
    left_out = set(configured["checks"]) - {"all", "EX01"}
    errors = validate.validate(f"numopt.{name}")["errors"]
    # Methods say in a sentence what comes back; only what stands alone has all sections.
    assert [error for error in errors if error[0] not in left_out] == []


@pytest.mark.parametrize("name", CLASSES)
def test_public_methods_have_a_docstring(name):
    for method, item in vars(public(name)).items():
        if not method.startswith("_") and (inspect.isfunction(item) or isinstance(item, property)):
            assert inspect.getdoc(item), method


@pytest.mark.parametrize("name", [n for n in CLASSES if n.endswith("Result")])
def test_methods_are_named_in_the_documentation(name):
    """Arguments of methods are mentioned by name in their docstring."""
    for method, item in vars(public(name)).items():
        if not method.startswith("_") and inspect.isfunction(item):
            for parameter in list(inspect.signature(item).parameters)[1:]:
                assert f"`{parameter}`" in inspect.getdoc(item), (method, parameter)
