"""DICOM series: found in a folder by their headers, put in order by their geometry, read, written as images.

Read by SimpleITK (GDCM), so this needs no further package. Patient data stay in the files: headers are read without
them, cases are named by a digest of the series' UID, and messages name neither files nor patients (docs/dicom.md).
"""
