"""How the source is laid out: what may import what."""

import ast
import inspect
import sys
import tomllib

import pytest
from libraries import ROOT
from structure import SOLVER_PACKAGES, imported_modules, imports_of, public_functions, tree

import numopt

# Lowest first. A module imports from its own floor or one below.
FLOORS = [
    {"_core", "_version"},
    {"_linalg", "_losses", "_kernels", "_conic", "_rows", "_entries"},
]
PROBLEMS = len(FLOORS)


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def dotted(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path):
    return ".".join(path.relative_to(ROOT).parts[:-1])


def unit(module):
    """Return the part of the package a module is in: a problem, or a file of a lower floor."""
    return [*module.split("."), ""][1]


def floor(module):
    found = [level for level, units in enumerate(FLOORS) if unit(module) in units]
    return found[0] if found else PROBLEMS


def solver_files():
    """Return the files that may not import NumPy: those not exempted in pyproject.toml."""
    ignores = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    exempt = {name for name, rules in ignores["per-file-ignores"].items() if "TID251" in rules}
    return [
        path
        for path in sources("numopt")
        if not any(path.relative_to(ROOT).match(pattern) for pattern in exempt)
    ]


@pytest.mark.parametrize("path", sources("numopt"), ids=dotted)
def test_imports_only_go_down(path):
    module = dotted(path)
    for imported in imported_modules(path, package_of(path)):
        if imported.partition(".")[0] != "numopt" or unit(imported) == unit(module):
            continue
        assert floor(imported) <= floor(module), imported
        # One problem uses another through its public names only.
        if floor(imported) == floor(module) == PROBLEMS:
            assert not any(part.startswith("_") for part in imported.split(".")[2:]), imported


def arrows():
    """Return which modules of the package each imports, packages' faces left out."""
    modules = {dotted(path): path for path in sources("numopt")}
    return {
        name: imported_modules(path, package_of(path)) & set(modules) - {name}
        for name, path in modules.items()
        if path.name != "__init__.py"
    }


def circle_in(arrows):
    """Return modules that import each other in a circle, nothing where there is none."""
    left = {name: set(targets) & set(arrows) for name, targets in arrows.items()}
    while left:
        ends = {name for name, targets in left.items() if not targets & set(left)}
        if not ends:
            return sorted(left)
        left = {name: targets for name, targets in left.items() if name not in ends}
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert circle_in(arrows()) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("path", sources("numba_kernels"), ids=dotted)
def test_compiled_kernels_know_nothing_of_the_library(path):
    imported = {name.partition(".")[0] for name in imported_modules(path, package_of(path))}
    allowed = {"numba_kernels", "numba", "llvmlite", "numpy", "scipy", "threadpoolctl"}
    assert imported <= allowed | sys.stdlib_module_names


def test_compiled_kernel_files_share_private_files_only():
    compared = 0
    for path in sources("numba_kernels"):
        for name in imported_modules(path, package_of(path)):
            if name.startswith("numba_kernels."):
                assert name.split(".")[1].startswith("_"), f"{path.name} imports {name}"
                compared += 1
    assert compared > 0


def test_numba_is_called_in_one_file_only():
    for path in sources("numba_kernels"):
        text = path.read_text()
        assert ("njit(" in text) == (path.name == "_jit.py"), path.name


def test_solvers_never_import_numpy():
    files = solver_files()
    assert len(files) >= 15
    for path in files:
        # Host-side code says so, with its reason, on the line that imports NumPy.
        lines = [line for line in path.read_text().splitlines() if "noqa: TID251 - " not in line]
        imported = imports_of(ast.parse("\n".join(lines)), package_of(path))
        assert not any(name.partition(".")[0] == "numpy" for name in imported), path


# The same in every package, whatever else it has.
SIX = ("_api", "_inputs", "_problem", "_solve", "_certificate", "_result")


@pytest.mark.parametrize("package", SOLVER_PACKAGES)
def test_every_solver_has_the_same_six_files(package):
    present = {path.stem for path in (ROOT / "numopt" / package).iterdir()}
    assert set(SIX) <= present


# Public packages and files that solve nothing.
NO_SOLVERS = {"estimators", "plotting", "progress", "recovery.measurements", "sketching", "verify"}


def test_all_solvers_are_found():
    homes = {_home(name).split(".")[1] for name in numopt.__all__ if "." in _home(name)}
    assert set(SOLVER_PACKAGES) == {home for home in homes if home[0] != "_"} - NO_SOLVERS


@pytest.mark.parametrize("package", SOLVER_PACKAGES)
def test_public_functions_are_in_one_file(package):
    files = (ROOT / "numopt" / package).rglob("_api.py")
    offered = {name for name in numopt.__all__ if _home(name).startswith(f"numopt.{package}.")}
    functions = {name for name in offered if inspect.isfunction(getattr(numopt, name))}
    assert functions, f"numopt/__init__.pyi offers no function of numopt.{package}"
    assert functions == {name for path in files for name in public_functions(path)}


def _home(name):
    return str(getattr(getattr(numopt, name), "__module__", ""))


@pytest.mark.parametrize("package", SOLVER_PACKAGES)
def test_certificates_know_nothing_of_the_solver(package):
    path = ROOT / "numopt" / package / "_certificate.py"
    imported = imported_modules(path, package_of(path))
    assert not [
        name for name in imported if name.split(".")[-1] in ("_solve", "_api", "iterate", "_result")
    ]
    # It makes zero of what is not a number; `_core.settings.non_negative` does not.
    assert "max(0" not in path.read_text(), "use non_negative"


def test_success_is_decided_in_one_place():
    """Wherever a result is made, its success is an attribute of an outcome or a result."""
    decided = []
    for path in sources("numopt"):
        for node in ast.walk(tree(path)):
            values = []
            if isinstance(node, ast.keyword) and node.arg == "success":
                values = [node.value]
            elif isinstance(node, ast.Dict):
                keys = [getattr(key, "value", None) for key in node.keys]
                values = [v for key, v in zip(keys, node.values, strict=True) if key == "success"]
            elif isinstance(node, ast.Assign):
                aimed = [getattr(target, "attr", None) for target in node.targets]
                values = [node.value] if "success" in aimed else []
            taken = ("outcome", "Status")
            decided += [
                f"{path.name}:{value.lineno}"
                for value in values
                if getattr(value, "attr", None) != "success" and path.stem not in taken
            ]
    assert decided == []


def test_the_import_check_sees_imports(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "import numpy as np\n"
        "from . import _validate\n"
        "from .._core.iterate import closing\n"
        "def f():\n    from scipy.sparse import csr_array\n"
    )
    found = imported_modules(path, "numopt.transport")
    assert {"numpy", "numopt.transport._validate", "numopt._core.iterate", "scipy.sparse"} <= found


def test_files_and_functions_stay_short():
    lengths = sorted(len(p.read_text().splitlines()) for p in sources("numopt"))
    assert lengths[-1] <= 550
    assert lengths[len(lengths) // 2] <= 200


def test_every_module_says_what_it_is():
    for path in sources("numopt") + sources("numba_kernels"):
        if path.read_text().strip():
            assert ast.get_docstring(tree(path)), path
