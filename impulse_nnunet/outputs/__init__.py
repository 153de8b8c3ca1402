"""What users of a label map take away: surfaces, scenes, files for other programs, tables of volumes.

Works on any label map, predicted or not, with the names of a dataset.json, of a table, or none. Points in the world are
(x, y, z) in LPS, mm.
"""
