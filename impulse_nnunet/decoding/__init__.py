"""From an encoded box to labels, logits and displacements on any output grid (docs/decoding.md).

``grids`` says which voxels there are, ``encoded_box`` holds what the encoder left, ``point_decoders`` evaluate points
(in plain PyTorch, or with the heads' first layers applied to the pyramid beforehand), ``coarse_to_fine`` finds the
voxels that need evaluation, ``volumes`` puts the results into arrays.
"""

from impulse_nnunet.decoding.encoded_box import EncodedBox
from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.volumes import decode_displacement, decode_labels, decode_logits, displacement_slabs

__all__ = ["EncodedBox", "OutputGrid", "decode_displacement", "decode_labels", "decode_logits", "displacement_slabs"]
