"""Pictures of results: convergence of any solver, and one per problem (needs matplotlib)."""
