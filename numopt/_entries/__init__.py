"""Observed entries of a matrix: read in every form, laid out by rows and columns."""
