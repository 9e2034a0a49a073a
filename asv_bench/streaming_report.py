"""Measure the top eigenvector of streams; print and store the tables that the site shows.

python asv_bench/streaming_report.py                      all tables, about half an hour
python asv_bench/streaming_report.py --tables speed       some: accuracy, speed, kernels, order,
sparse, disk
python asv_bench/streaming_report.py --tables accuracy --cases flat --seeds 3
python asv_bench/streaming_report.py --tables disk --limit 2 --scratch /var/tmp    gigabytes
python asv_bench/streaming_report.py --quick              a look at the machinery; no file
"""

import argparse
import os
import tempfile
from pathlib import Path

from sampling_report import FIGURES, describe_machine, publish

TABLES = ("accuracy", "speed", "kernels", "order", "sparse", "disk")


def main():
    options = parsed_arguments()
    if options.quick:
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
    from benchmarks import streaming_tables as tables

    machine = describe_machine()
    print(machine, flush=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        made = {
            "accuracy": lambda: tables.accuracy_rows(options.seeds, options.cases),
            "speed": tables.speed_rows,
            "kernels": tables.kernel_rows,
            "order": tables.order_rows,
            "sparse": tables.sparse_rows,
            "disk": lambda: tables.disk_rows(scratch, options.limit),
        }
        for name in options.tables:
            publish(f"streaming_{name}", made[name](), machine, options)


def parsed_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="of the table of accuracy")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=10, help="gigabytes of the file on disk")
    parser.add_argument("--scratch", type=Path, help="folder for that file")
    parser.add_argument("--folder", type=Path, default=FIGURES, help="where the tables go")
    parser.add_argument("--quick", action="store_true", help="tiny problems")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.limit = 1, min(options.limit, 0.01)
    return options


if __name__ == "__main__":
    main()
