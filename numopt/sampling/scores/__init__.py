"""Scores of the rows of a matrix in the p-norm."""
