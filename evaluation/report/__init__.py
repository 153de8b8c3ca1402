"""The report: summaries of one or several methods as one self-contained HTML file.

Inside this package volumes are (z, y, x) arrays in LPS: z runs to the head, y to the back, x to the patient's left.
"""
