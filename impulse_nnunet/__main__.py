"""``python -m impulse_nnunet``."""

import sys

from impulse_nnunet.cli.main import main

sys.exit(main())
