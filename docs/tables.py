"""Tables of the site that are made from the source, so that they cannot be out of date."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "numopt" / "_kernels"


def list_table(header, rows, widths):
    """Return the lines of a reStructuredText list-table."""
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield f"   :widths: {widths}"
    yield ""
    for row in (header, *rows):
        for number, cell in enumerate(row):
            yield f"   {'  -' if number else '* -'} {cell}"


def functions(path):
    """Return the functions a file defines, by name; none where there is no such file."""
    tree = ast.parse(path.read_text() if path.exists() else "")
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def min_size(function):
    """Return the size from which a kernel may be replaced, None for other functions."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and decorator.func.id == "kernel":
            return ast.literal_eval(decorator.keywords[0].value)
    return None


def kernel_rows():
    """Yield name, meaning and compiled size of each kernel."""
    for path in sorted(KERNELS.glob("[a-z]*.py")):
        compiled = functions(ROOT / "numba_kernels" / path.name)
        for name, function in functions(path).items():
            size = min_size(function)
            if size is not None:
                meaning = ast.get_docstring(function).splitlines()[0]
                yield f"``{path.stem}.{name}``", meaning, f"{size:,}" if name in compiled else "no"


def write(folder):
    """Write all tables into a folder."""
    folder.mkdir(exist_ok=True)
    kernels = list_table(("Kernel", "Gives", "Compiled from"), kernel_rows(), "34 48 18")
    (folder / "kernels.inc").write_text("\n".join(kernels) + "\n")
