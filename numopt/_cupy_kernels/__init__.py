"""GPU kernels for CuPy arrays, with the names, parameters and results of ``numopt._kernels``.

One module a family. A kernel stands here only with a gain over the reference measured on a GPU;
the reference runs on CuPy arrays where this package has no kernel of its name.
"""
