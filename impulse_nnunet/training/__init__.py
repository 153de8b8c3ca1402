"""Training: cases, random boxes and points, losses, the template; nothing here imports nnU-Net's trainer."""
