"""Training by splitting methods, whose iterates are outside the cones by a little."""
