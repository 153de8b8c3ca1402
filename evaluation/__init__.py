"""Metrics on label maps, statistics, reports (definitions in docs/metrics.md); nothing here knows nnU-Net.

``overlap``, ``surface``, ``intrusions`` and ``anatomy`` are pure functions on arrays, one quantity each; ``case`` puts
them together; ``folder`` and ``summary`` serve the command line; ``comparison`` and ``report`` read what ``summary``
wrote. Import from the modules: training needs the overlap alone and should not load the rest.
"""
