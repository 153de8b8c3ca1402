"""Files: images, label maps, their grids in the world, dataset.json, folders of cases, atomic writes.

Only :mod:`~impulse_nnunet.io.nnunet` knows nnU-Net (and :mod:`~impulse_nnunet.io.images`, through it). The rules that
all readers share stand in docs/files.md.
"""
