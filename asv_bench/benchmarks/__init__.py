"""Benchmarks of numopt and of the libraries it is measured against."""
