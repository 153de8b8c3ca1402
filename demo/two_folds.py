"""Two folds in place of nnU-Net's five, to save time: ``python demo/two_folds.py RAW_FOLDER PREPROCESSED_FOLDER``."""

import sys
from pathlib import Path

from impulse_nnunet.io.files import write_json

cases = sorted(path.name.removesuffix(".nii.gz") for path in Path(sys.argv[1], "labelsTr").glob("*.nii.gz"))
halves = cases[::2], cases[1::2]
write_json([{"train": a, "val": b} for a, b in (halves, halves[::-1])], Path(sys.argv[2], "splits_final.json"))
