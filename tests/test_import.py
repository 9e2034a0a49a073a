"""What importing the package costs and pulls in."""

import os
import subprocess
import sys

import pytest

HEAVY = ("scipy", "numba", "cupy", "torch", "dask", "matplotlib", "tqdm", "sklearn")


def python(code, **environment):
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy():
    code = "import sys, numopt; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    assert "numopt" in python(code)
    assert not [name for name in HEAVY if f"'{name}'" in python(code)]


def test_import_takes_less_than_20_milliseconds():
    code = (
        "import numpy, time; start = time.perf_counter(); import numopt; "
        "print(time.perf_counter() - start)"
    )
    # The least of several runs: others may be using the machine.
    assert min(float(python(code)) for _ in range(5)) < 0.020


def test_every_name_of_the_stub_can_be_imported():
    code = "import numopt; [getattr(numopt, name) for name in numopt.__all__]; print('done')"
    assert python(code, EAGER_IMPORT="1") == "done"
    assert python(code, EAGER_IMPORT="") == "done"


def test_small_problems_never_compile():
    code = (
        "import sys, numpy as np, numopt; "
        "result = numopt.entropic_transport(np.random.default_rng(0).random((15, 15)), reg=1e-2); "
        "print(result.success, 'numba' in sys.modules)"
    )
    assert python(code) == "True False"


@pytest.mark.parametrize("missing", ["numba", "tqdm", "matplotlib"])
def test_optional_packages_may_be_missing(missing):
    code = (
        f"import importlib.machinery, sys\n"
        f"class Missing(importlib.machinery.PathFinder):\n"
        f"    @classmethod\n"
        f"    def find_spec(cls, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}: return None\n"
        f"        return super().find_spec(name, path, target)\n"
        f"sys.meta_path[:] = [Missing if f is importlib.machinery.PathFinder else f "
        f"for f in sys.meta_path]\n"
        f"import numpy as np, numopt\n"
        f"cost = np.random.default_rng(0).random((100, 100))\n"
        f"print(numopt.entropic_transport(cost, reg=1e-2).success, {missing!r} in sys.modules)"
    )
    assert python(code) == "True False"


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    import numopt

    assert numopt.__version__ == version("numopt-solvers")


def test_public_names_are_those_of_the_stub():
    import numopt

    assert set(numopt.__all__) <= set(dir(numopt))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = numopt.no_such_name
