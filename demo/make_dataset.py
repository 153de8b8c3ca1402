"""Write the demo's data set: ``python demo/make_dataset.py FOLDER``."""

import sys
from pathlib import Path

from impulse_nnunet.synthetic import write_dataset

write_dataset(Path(sys.argv[1]), training=24, test=4)
