"""Every public name: its documentation, its signature, and the fields it returns."""

import ast
import inspect
import pickle
import re

import pytest
from libraries import ROOT
from structure import loaded, tree

import numopt


def public_home(name):
    return getattr(numopt, name).__module__


FUNCTIONS = [n for n in numopt.__all__ if inspect.isfunction(getattr(numopt, n))]
# Those that solve a problem: the public functions of the packages.
SOLVERS = [n for n in FUNCTIONS if not public_home(n).startswith(("numopt._", "numopt.verify"))]
CLASSES = [n for n in numopt.__all__ if inspect.isclass(getattr(numopt, n))]
PLOTS = [
    f"plotting.{name}"
    for name, item in vars(numopt.plotting).items()
    if inspect.isfunction(item)
    and item.__module__ == numopt.plotting.__name__
    and not name.startswith("_")
]


def found(table):
    """Return what the packages say of their results in ``tests/<package>/results.py``."""
    together = {}
    for path in sorted((ROOT / "tests").glob("*/results.py")):
        together |= getattr(loaded(path), table, {})
    return together


def table(entries, name):
    """Return the entry of a result class, or say where it belongs."""
    if name not in entries:
        pytest.fail(f"{name} is missing in RECORDS or NUMBERS of tests/<package>/results.py")
    return entries[name]


SOLVES, RECORDS, NUMBERS = found("SOLVES"), found("RECORDS"), found("NUMBERS")
POSITIONAL = {"ProgressBar": {"description"}} | found("POSITIONAL")
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
        # Settings return nothing, and contexts yield.
        wanted = {"Parameters"} if inspect.signature(item).parameters else set()
        wanted |= {"Returns"} if name in SOLVERS + PLOTS else set()
        assert {*wanted, "Raises"} <= set(found)
    if name in SOLVERS:
        assert {"Notes", "References", "See Also"} <= set(found)
        assert ".. math::" in inspect.getdoc(item)
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+", found["References"]), "name a paper"
    if name.endswith(("Result", "Batch")):
        assert "Attributes" in found


@pytest.mark.parametrize("name", [*FUNCTIONS, "PointCloudCost", "ProgressBar", *PLOTS])
def test_parameters_are_documented_in_order(name):
    parameters = [p for p in inspect.signature(public(name)).parameters if p != "self"]
    documented = names(sections(public(name)).get("Parameters", ""))
    assert [n for n in documented if n not in ("options", "problem")] == [
        p for p in parameters if p not in ("options", "problem")
    ]


@pytest.mark.parametrize("name", [*FUNCTIONS, "PointCloudCost", "ProgressBar"])
def test_options_are_given_by_name(name):
    for parameter in inspect.signature(public(name)).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            is_array = parameter.default in (parameter.empty, None)
            assert is_array or parameter.name in POSITIONAL.get(name, ())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_are_documented(name):
    documented = sections(public(name)).get("Parameters", "")
    for parameter in inspect.signature(public(name)).parameters.values():
        if parameter.default not in (parameter.empty, None):
            shown = repr(parameter.default).replace("'", '"')
            assert re.search(
                rf"^{parameter.name} : .*default {re.escape(shown)}$", documented, re.M
            )


COMMON = names(sections(numopt.Result)["Attributes"])


@pytest.mark.parametrize("label", SOLVES)
def test_documented_fields_are_those_returned(label):
    name, result = label.partition("-")[0], SOLVES[label]()
    assert type(result) is public(name)
    assert isinstance(result, numopt.Result)
    documented = names(sections(public(name))["Attributes"])
    assert len(documented) == len(set(documented))
    assert set(documented) | set(COMMON) == set(result)
    # What a user reads first; the rest is under `stats`.
    assert len(set(result) - set(COMMON)) <= 12
    annotated = {
        field for cls in type(result).__mro__ for field in vars(cls).get("__annotations__", ())
    }
    assert set(result) <= annotated
    batch = isinstance(result.history[0], list)
    for record in result.history[0] if batch else result.history:
        assert {"nit", "error"} | table(RECORDS, name) == set(record)


@pytest.mark.parametrize("label", SOLVES)
def test_stats_are_documented(label):
    name, result = label.partition("-")[0], SOLVES[label]()
    text = inspect.getdoc(public(name))
    assert [key for key in result.stats if f"``{key}``" not in text] == []


@pytest.mark.parametrize("label", [label for label in SOLVES if "Batch" not in label])
def test_fields_have_plain_types(label):
    result = SOLVES[label]()
    numbers = table(NUMBERS, label.partition("-")[0])
    kinds = {
        float: ["fun", "tol", "execution_time", *numbers[float]],
        bool: ["success"],
        int: ["nit", *numbers[int]],
        str: ["message"],
        list: ["history", "checks"],
        dict: ["stats"],
        numopt.Status: ["status"],
    }
    for kind, fields in kinds.items():
        values = [result[field] if field in result else result.stats[field] for field in fields]
        assert [type(value) for value in values] == [kind] * len(fields)
    assert result.message.endswith(".")
    assert result.message[0].isupper()


@pytest.mark.parametrize("label", [label for label in SOLVES if "Batch" not in label])
def test_success_is_what_the_checks_say(label):
    result = SOLVES[label]()
    assert result.checks
    assert all(type(check) is numopt.Check for check in result.checks)
    assert result.success == all(check.passed for check in result.checks)


@pytest.mark.parametrize("label", SOLVES)
def test_results_print_what_matters(label):
    result = SOLVES[label]()
    lines = repr(result).splitlines()
    assert lines[0] == type(result).__name__
    assert max(map(len, lines)) < 2000
    assert "checks" in repr(result)
    assert type(result).__name__ in result._repr_html_()


@pytest.mark.parametrize("label", SOLVES)
def test_results_travel_between_processes(label):
    result = SOLVES[label]()
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert again.status is result.status if "Batch" not in label else again.keys() == result.keys()
    assert again.checks == result.checks


def test_every_result_class_is_checked():
    results = {name for name in CLASSES if issubclass(public(name), numopt.Result)}
    assert {label.partition("-")[0] for label in SOLVES} == results - {"Result"}


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
