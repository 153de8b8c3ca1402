"""Left is left: which labels have a side, and whether an image's asymmetry is that of the training cases."""
