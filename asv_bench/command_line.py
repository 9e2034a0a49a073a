"""The command lines of the reports: what they share is said once."""

import argparse
import os
import sys
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "docs" / "figures"


def option(name, help=None, **settings):
    """Return an option for `parsed`."""
    return name, {"help": help, **settings}


def names(name, help="default: all", **settings):
    """Return an option that takes some names."""
    return option(name, help, nargs="+", metavar="NAME", **settings)


def flag(name, help):
    """Return an option without a value."""
    return option(name, help, action="store_true")


def seeds(default=None, help="problems of each kind"):
    return option("--seeds", help, type=int, default=default)


def limit(default=None, help="seconds of a contender"):
    return option("--limit", help, type=float, default=default)


HIDDEN = argparse.SUPPRESS
CASES = names("--cases")
FOLDER = option("--folder", "where the files go", type=Path, default=FIGURES)
QUICK = flag("--quick", "tiny problems; no file is written")


def parsed(description, *options):
    """Return the arguments of a report; with --quick, benchmarks are told to be small."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, settings in options:
        parser.add_argument(name, **settings)
    found = parser.parse_args()
    if getattr(found, "quick", False):
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
    return found


def checked_cases(options, cases):
    """Return the names of the cases asked for, all if none are; leave if there is no such case."""
    unknown = set(options.cases or ()) - set(cases)
    if unknown:
        sys.exit(f"unknown case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    return options.cases or list(cases)
