"""The ground floor: array libraries, dispatch, validation, the loop, and what solvers return."""
