"""The source of the package as syntax trees: what it defines and what it imports."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
# The packages that hold a solver.
SOLVER_PACKAGES = sorted(
    path.parent.name for path in (ROOT / "numopt").glob("*/_api.py") if path.parent.name[0] != "_"
)


def loaded(path: Path) -> ModuleType:
    """Return a file of the tests as a module; several folders have files of one name."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public_functions(path: Path) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file that a kernel package offers."""
    functions = (node for node in tree(path).body if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in functions if not node.name.startswith("_")}


def reference_kernels(path: Path) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file that are decorated with ``@kernel(...)``."""
    return {
        name: node
        for name, node in public_functions(path).items()
        if any(ast.unparse(item).startswith("kernel(") for item in node.decorator_list)
    }


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the names of all parameters, in order."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [item.arg for item in named]


def imported_modules(path: Path, package: str) -> set[str]:
    """Return the modules that a file imports anywhere, relative ones resolved in its package."""
    return imports_of(tree(path), package)


def imports_of(module: ast.Module, package: str) -> set[str]:
    """Return what a syntax tree imports; names taken from a module count as modules in it."""
    modules = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            modules |= {f"{base}.{alias.name}" for alias in node.names}
            if node.module:
                modules.add(base)
    return modules
