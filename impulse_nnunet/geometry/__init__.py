"""Where things are in an image: the coordinate convention, boxes, and volumes resampled on grids."""
