"""Prediction at native resolution: encode once, decode points in blocks, write labels as whole files."""
