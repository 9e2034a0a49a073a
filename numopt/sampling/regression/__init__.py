"""Regression in the p-norm, exact: interior points, Newton steps, and most rows set aside."""
