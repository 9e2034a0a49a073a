"""Measure the top eigenvector of streams; print and store the tables that the site shows.

python asv_bench/streaming_report.py                      all tables, about half an hour
python asv_bench/streaming_report.py --tables speed       some: accuracy, speed, kernels, order,
sparse, disk
python asv_bench/streaming_report.py --tables accuracy --cases flat --seeds 3
python asv_bench/streaming_report.py --tables disk --limit 2 --scratch /var/tmp    gigabytes
python asv_bench/streaming_report.py --quick              a look at the machinery; no file
"""

import tempfile
from pathlib import Path

import command_line
from sampling_report import describe_machine, publish

TABLES = ("accuracy", "speed", "kernels", "order", "sparse", "disk")


def main():
    options = parsed_arguments()
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
    options = command_line.parsed(
        __doc__,
        command_line.option("--tables", nargs="+", choices=TABLES, default=TABLES),
        command_line.names("--cases", "of the table of accuracy"),
        command_line.seeds(5),
        command_line.limit(10, "gigabytes of the file on disk"),
        command_line.option("--scratch", "folder for that file", type=Path),
        command_line.FOLDER,
        command_line.QUICK,
    )
    if options.quick:
        options.seeds, options.limit = 1, min(options.limit, 0.01)
    return options


if __name__ == "__main__":
    main()
