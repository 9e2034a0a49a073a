"""The convex program by interior-point methods, and projections onto its cones."""
