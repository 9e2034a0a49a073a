"""Tables of the site that are made from the source, so that they cannot be out of date."""

import ast
import json
from pathlib import Path

import constrained_tables

from numopt import Status

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "numopt" / "_kernels"
FIGURES = ROOT / "docs" / "figures"
MISSING = "No figures are recorded for this version."

# Columns of the files that the reports of asv_bench/ write, and their headings here.
SPEED = {
    "case": "Case",
    "error": "Error",
    "numopt": "numopt, s",
    "best peer": "Best other",
    "its time": "its time, s",
    "ratio": "Ratio",
    "passes": "Passes",
    "MB": "numopt, MB",
    "best peer MB": "other, MB",
}
REGRESSION = {
    "case": "Case",
    "numopt": "numopt, s",
    "error": "its error",
    "best": "Against",
    "its time": "its time, s",
    "its error": "its error",
    "ratio": "Ratio",
    "MB": "numopt, MB",
    "its MB": "other, MB",
}
METHODS = {
    "case": "Condition",
    "method": "Method",
    "seconds": "Seconds",
    "passes": "Reads of A",
    "error": "Backward error",
    "estimate": "its estimate",
}
STATISTIC = {
    "case": "Instance",
    "rival": "Sketch",
    "median": "Median",
    "p95": "95 %",
    "max": "Largest",
    "limit": "Limit",
    "above": "Above it",
    "share": "Share",
}
RECOVERY = {
    "case": "Case",
    "problem": "Problem",
    "numopt": "numopt, s",
    "rival": "Against",
    "its": "its time, s",
    "ratio": "Ratio",
    "goal": "Goal",
    "error numopt": "Error",
    "error rival": "its error",
}
PHASE = {"case": "Columns", "share": "Wrong"} | {
    str(over): f"m = {over} d r" for over in (2, 3, 4, 6, 8, 12, 16, 24)
}
STREAM_ACCURACY = {
    "case": "Stream",
    "numopt": "numopt",
    "track": "its track",
    "IncrementalPCA": "IncrementalPCA",
    "AdaOja": "AdaOja",
    "Frequent Directions": "Frequent Directions",
    "history PCA": "history PCA",
    "ratio": "to the best other",
}
STREAM_SPEED = {
    "case": "Method",
    "rows/s": "Rows a second",
    "error": "Squared sine",
    "numopt is faster by": "numopt is faster by",
}
STREAM_ORDER = {
    "case": "Stream",
    "size": "Rows",
    "numopt": "numopt",
    "IncrementalPCA": "IncrementalPCA",
    "p-value": "p-value of random order",
    "bound": "Bound",
}
COUNTS = {
    "family": "Family",
    "eta": "1 / reg",
    "solved": "Solved",
    "passes": "Passes",
    "Newton": "Newton steps",
    "CG": "CG iterations",
}

SCORES = ("uniform", "leverage", "lewis", "sensitivity", "combined")
EXCESS = {"family": "Family", "p": "p", "rows": "Rows"} | {name: name for name in SCORES}
TOTALS = {
    "matrix": "Matrix",
    "shape": "Shape",
    "p": "p",
    "sum": "S",
    "limit": "Limit",
    "largest error": "Largest error",
    "solves": "Solves",
}
SIZES = {
    "family": "Matrix",
    "columns": "Columns",
    "sensitivity": "sensitivity",
    "combined": "combined",
    "lewis": "lewis",
    "leverage": "leverage",
    "sum of sensitivities": "S",
}
LP_SPEED = {
    "case": "Case",
    "other": "Other",
    "numopt, s": "numopt, s",
    "other, s": "its time, s",
    "ratio": "Ratio",
    "gap": "Gap or difference",
    "excess of the other": "Excess of the other",
}
RELU = {
    "case": "Case",
    "size": "Size",
    "solver": "Solver",
    "time": "Time, s",
    "ratio": "times numopt",
    "value": "Value",
    "infeasibility": "Infeasibility",
}
RELU_LARGE = {
    "solver": "Solver",
    "time": "Time, s",
    "value": "Objective of the network",
    "note": "What stopped it",
    "GB": "Peak of memory, GB",
}
RELU_CLASSES = {
    "training": "Training",
    "seconds": "Seconds, median",
    "accuracy": "Accuracy, percent",
}
RELU_ITERATION = {
    "size": "Size",
    "sylvester": "An iteration, ms",
    "products": "its products alone, ms",
    "ratio": "Ratio",
    "products as published": "products as published, ms",
    "ratio as published": "Ratio",
    "cholesky": "one with the cached factor, ms",
    "cholesky / sylvester": "Ratio",
}
RELU_PATTERNS = {
    "data": "Data",
    "patterns": "Patterns",
    "in the end": "In the end",
    "seconds": "Seconds",
    "objective of the network": "Objective of the network",
}
COMPLETION = {
    "case": "Case",
    "rival": "Against",
    "numopt": "numopt",
    "other": "other",
    "unit": "Unit",
    "ratio": "Ratio",
    "goal": "Goal",
    "check": "Checked",
}
COMPLETION_LIMIT = {
    "case": "Oversampling",
    "rival": "Condition",
    "numopt": "Found",
    "other": "Without Gauss-Newton",
    "plain": "Plain alternation",
}

RELU_ROBUST = {
    "data": "Data",
    "radius": "Radius",
    "training": "Training",
    "units": "Units",
    "clean": "Clean",
    "FGSM": "FGSM",
    "PGD": "PGD",
    "proved": "Proved",
}

# What each library of the tests is and what it catches; the names are those of tests/libraries.py.
LIBRARIES = {
    "numpy": ("NumPy, small arrays", "errors in the references"),
    "numpy-compiled": ("NumPy, large arrays", "compiled kernels that differ from their references"),
    "strict": ("array-api-strict", "anything outside the standard"),
    "strict-device1": ("array-api-strict, second device", "arrays made on the wrong device"),
    "strict-device2": (
        "array-api-strict, device whose default is float32",
        "arrays made without a dtype",
    ),
    "strict-no_float64": ("array-api-strict, device without float64", "hidden float64"),
    "strict-no_x64": ("array-api-strict, device without 64-bit types", "hidden int64"),
    "torch": ("PyTorch, CPU", "what a second real library does differently"),
    "cupy": ("CuPy", "**not yet run on a GPU**"),
}


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
            # Sizes are written as numbers or as shifts, such as 1 << 14.
            return eval(ast.unparse(decorator.keywords[0].value), {"__builtins__": {}})
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


def library_rows():
    """Yield name, library and purpose of each library the tests run on."""
    tree = ast.parse((ROOT / "tests" / "libraries.py").read_text())
    (tested,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "LIBRARIES"
    )
    for key in tested.keys:
        yield f"``{key.value}``", *LIBRARIES[key.value]


def status_rows():
    """Yield number, name and message of every status, with dots for what a solver fills in."""
    words = {"count": "", "reached": " ...", "advice": " ...", "detail": ""}
    for status in Status:
        yield f"{int(status)}", f"``{status.name}``", status.text.format(**words)


def measured(name, columns):
    """Yield the lines of a table of recorded figures and of the machine they were taken on."""
    path = FIGURES / f"{name}.json"
    if not path.exists():
        yield MISSING
        return
    record = json.loads(path.read_text())
    rows = [[row.get(column, "") for column in columns] for row in record["rows"]]
    yield from list_table(columns.values(), rows, "auto")
    yield from ("", f"Measured on: {record['machine']}.")


def write(folder):
    """Write all tables into a folder."""
    folder.mkdir(exist_ok=True)
    tables = {
        "kernels": list_table(("Kernel", "Gives", "Compiled from"), kernel_rows(), "34 48 18"),
        "statuses": list_table(("Number", "Status", "Message"), status_rows(), "10 30 60"),
        "libraries": list_table(("Name", "Library", "Catches"), library_rows(), "26 38 36"),
        "transport_speed": measured("transport_speed", SPEED),
        "transport_counts": measured("transport_counts", COUNTS),
        "regression_speed": measured("regression_speed", REGRESSION),
        "regression_methods": measured("regression_methods", METHODS),
        "regression_statistic": measured("regression_statistic", STATISTIC),
        "sampling_excess": measured("sampling_excess", EXCESS),
        "sampling_totals": measured("sampling_totals", TOTALS),
        "sampling_sizes": measured("sampling_sizes", SIZES),
        "sampling_speed": measured("sampling_speed", LP_SPEED),
        "completion_speed": measured("completion_speed", COMPLETION),
        "completion_limit": measured("completion_limit", COMPLETION_LIMIT),
        "recovery_speed": measured("recovery_speed", RECOVERY),
        "recovery_phase": measured("recovery_phase", PHASE),
        "streaming_accuracy": measured("streaming_accuracy", STREAM_ACCURACY),
        "streaming_speed": measured("streaming_speed", STREAM_SPEED),
        "streaming_order": measured("streaming_order", STREAM_ORDER),
        "relu_speed": measured("relu_speed", RELU),
        "relu_robust": measured("relu_robust", RELU_ROBUST),
        "relu_large": measured("relu_large", RELU_LARGE),
        "relu_classes": measured("relu_classes", RELU_CLASSES),
        "relu_iteration": measured("relu_iteration", RELU_ITERATION),
        "relu_patterns": measured("relu_patterns", RELU_PATTERNS),
    }
    constrained_tables.write(folder, list_table)
    for name, lines in tables.items():
        (folder / f"{name}.inc").write_text("\n".join(lines) + "\n")
