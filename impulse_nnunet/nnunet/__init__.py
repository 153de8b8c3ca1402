"""Where this package meets nnU-Net: prediction, validation, planning, and checks of models from outside."""
