"""Robust principal components: a matrix of low rank from its entries, some of them wrong."""
