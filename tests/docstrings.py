"""What numpydoc has to say of the docstrings of all public names; `make lint` runs this file."""

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from operator import attrgetter

import numopt

# Sections that not every docstring has: EX01 is left to the tests of public functions, "See Also"
# (SA01) and an extended summary (ES01) are optional, and what "See Also" says of a name goes on
# from it, in lower case (SA03). Methods say in a sentence what comes back.
OPTIONAL = {"EX01", "SA01", "ES01", "SA03"}


def public_names() -> Iterator[str]:
    """Yield the functions and classes that users find, those that need an extra if it is there."""
    for name in numopt.__all__:
        try:
            item = getattr(numopt, name)
        except ImportError:
            continue
        if inspect.ismodule(item):
            inside = getattr(item, "__all__", [part for part in dir(item) if part[0] != "_"])
            members = ((f"{name}.{part}", getattr(item, part)) for part in inside)
            own = item.__name__
            yield from (path for path, member in members if _is_documented(member, own))
        elif _is_documented(item, "numopt"):
            yield name


def _is_documented(item: object, package: str) -> bool:
    defined = getattr(item, "__module__", "")
    return (inspect.isclass(item) or inspect.isfunction(item)) and defined.startswith(package)


def complaints(name: str) -> list[str]:
    """Return what is missing or out of order in the docstring of a public name."""
    from numpydoc.validate import validate

    errors = validate(f"numopt.{name}")["errors"]
    # What a tuple or an enumeration takes, it has as attributes.
    item = attrgetter(name)(numopt)
    if inspect.isclass(item) and issubclass(item, tuple | Enum):
        errors = [error for error in errors if error[0] != "PR01"]
    return [f"numopt.{name}: {code} {text}" for code, text in errors if code not in OPTIONAL]


if __name__ == "__main__":
    checked = list(public_names())
    found = [complaint for name in checked for complaint in complaints(name)]
    print(*found, f"{len(checked)} docstrings checked, {len(found)} complaints", sep="\n")  # noqa: T201
    sys.exit(bool(found) or not checked)
