"""What ``import numopt`` costs a program that has imported numpy."""


def timeraw_import():
    return "import numopt", "import numpy"
