"""Losses: their values, slopes, curvatures, conjugates and proximal maps, each written once."""
