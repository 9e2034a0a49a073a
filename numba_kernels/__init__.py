"""CPU kernels of numopt, compiled by Numba. Imports numpy and numba, never numopt.

One module a family; every public function has the name, the parameters and the result of the
reference kernel in ``numopt._kernels``, where it is documented.
"""
