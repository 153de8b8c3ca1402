"""One HTML file that shows a label map in three dimensions and in slices, without a network (docs/viewer.md).

``viewer.html`` is the page without data, built from ``viewer/`` (``make viewer``); these modules put the data in.
"""
