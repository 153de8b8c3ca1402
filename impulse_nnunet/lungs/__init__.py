"""Lungs: anatomy, the two stages and the four kinds of input, Lung3D."""
