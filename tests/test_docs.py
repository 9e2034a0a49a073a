"""Every example in the documentation runs."""

import doctest
import inspect
import re
import textwrap

import numpy as np
import pytest
from libraries import ROOT
from scipy_doctest import DTChecker, DTConfig, DTFinder, DTParser, DTRunner

import numba_kernels._jit
import numba_kernels._pool
import numopt
from numopt._core.dispatch import kernel
from numopt._core.namespace import array_namespace

CODE = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(name):
    """Return the Python blocks of a Markdown file, without their indentation."""
    return [textwrap.dedent(code) for _, code in CODE.findall((ROOT / name).read_text())]


def run(tests):
    """Run doctests with tolerance for printed numbers; return how many examples ran."""
    config = DTConfig()
    runner = DTRunner(checker=DTChecker(config=config), config=config)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0
    return runner.tries


def documented():
    public = (getattr(numopt, name) for name in numopt.__all__)
    return [item for item in public if inspect.isclass(item) or inspect.isfunction(item)]


@pytest.mark.parametrize("item", documented(), ids=lambda item: item.__name__)
def test_docstring_examples(item):
    tests = DTFinder(config=DTConfig()).find(item, item.__name__, globs={})
    assert run(test for test in tests if test.examples) > 0


def test_plotting_examples():
    tests = [
        test
        for name, item in vars(numopt.plotting).items()
        if inspect.isfunction(item) and item.__module__ == numopt.plotting.__name__
        for test in DTFinder(config=DTConfig()).find(item, name, globs={})
    ]
    run(test for test in tests if test.examples)


def test_readme_examples():
    text = "\n".join(blocks("README.md"))
    test = DTParser(config=DTConfig()).get_doctest(text, {}, "README", "README.md", 0)
    assert run([test]) > 0


def test_wrong_example_fails():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    with pytest.raises(AssertionError):
        run([test])


def test_kernel_example_of_the_contributing_guide(rng):
    """The reference there, its definition and its compiled twin compute the same."""
    scope = {
        "np": np,
        "Array": object,
        "array_namespace": array_namespace,
        "jit": numba_kernels._jit.jit,
        "kernel": kernel,
        "run_rows": numba_kernels._pool.run_rows,
        "__name__": "numopt._kernels.example",
    }
    computed = []
    cost, log_scaling = rng.random((7, 9)), rng.random(9)
    for code in blocks("CONTRIBUTING.md"):
        if "def row_peaks" in code:
            exec(code, scope)
            computed.append(scope["row_peaks"](cost, log_scaling, 0.3))
    reference, ((value, _),), twin = computed
    np.testing.assert_allclose(reference, value, rtol=1e-14)
    np.testing.assert_allclose(twin, value, rtol=1e-14)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_make_commands_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"(?:`|^)make ((?:[a-z-]+ ?)+)", (ROOT / name).read_text(), re.MULTILINE)
    )
    commands = {word for words in named for word in words.split()}
    assert commands
    assert commands <= targets


def test_local_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
