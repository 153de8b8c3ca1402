"""The command line; it knows everything, and nothing knows it."""
