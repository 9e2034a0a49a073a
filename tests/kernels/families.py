"""The families of kernels: their cases and their definitions, found by the names of their files.

To add a kernel to the family `f`: its cases in ``cases_f.py``, its definition in
``definitions_f.py``. To add a family: two such files. `cases` yields names, labels and arguments as
NumPy arrays and numbers, and begins with an ordinary one for each kernel; `large` yields names and
arguments that are worth several threads. A definition is a function of the kernel's name that takes
its arguments and returns pairs (value, scale), computed in extended precision: the rounding error
of a kernel is a small multiple of eps times the scale.

Cases may say more of their kernels, in sets of names: those that return indices or take them
(`INDEXING`), that have no fast version (`REFERENCES`), and that take seconds in a library that
checks everything (`SLOW`). Definitions may say whether a case is decided, or at the
mercy of rounding (`decided`).
"""

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

FAMILIES = sorted(
    path.stem.removeprefix("cases_") for path in Path(__file__).parent.glob("cases_*.py")
)


class Case(NamedTuple):
    """Arguments of a kernel, as NumPy arrays and numbers."""

    family: str
    name: str
    label: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name}-{self.label}"

    def is_in(self, kinds: str) -> bool:
        """Tell whether the cases of the family list the kernel in a set."""
        return self.name in getattr(cases_of(self.family), kinds, ())


def cases_of(family):
    return importlib.import_module(f"cases_{family}")


def definitions_of(family):
    return importlib.import_module(f"definitions_{family}")


def all_cases():
    for family in FAMILIES:
        for name, label, arguments in cases_of(family).cases():
            yield Case(family, name, label, tuple(arguments))


@lru_cache(maxsize=1)
def large_cases(family):
    """Return the large arguments of a family, by the names of its kernels."""
    found = {}
    for name, arguments in cases_of(family).large():
        found.setdefault(name, []).append(Case(family, name, "large", tuple(arguments)))
    return found
