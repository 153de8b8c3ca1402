"""Template-guided implicit reconstruction (ImPulSe+) as an nnU-Net v2 plug-in."""

__version__ = "0.1.0"
