"""Docstrings are complete, and the check of that finds every public name."""

import docstrings
import pytest

import numopt

pytest.importorskip("numpydoc", reason="numpydoc is not installed (group lint)")
NAMES = list(docstrings.public_names())


@pytest.mark.parametrize("name", NAMES)
def test_docstring_is_complete(name):
    assert docstrings.complaints(name) == []


def test_public_names_are_found():
    assert {"lstsq", "LstsqResult", "plotting.convergence", "sketching.SRHT"} <= set(NAMES)
    assert len(NAMES) == len(set(NAMES)) > len(numopt.__all__)


def test_complaints_are_found(monkeypatch):
    def function(x):
        """Say nothing of the parameter."""

    monkeypatch.setattr(numopt, "lstsq", function)
    found = docstrings.complaints("lstsq")
    assert any("PR01" in complaint for complaint in found)
