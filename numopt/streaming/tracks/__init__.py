"""The tracks that read a stream side by side, and the choice between them."""
