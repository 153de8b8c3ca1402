from pathlib import Path

from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.outputs import Outputs


def test_files_of_a_case():
    options = OutputOptions(probabilities=True, displacement=True)
    found = Outputs(folder=Path("out"), ending=".nii.gz", plans_manager=None, options=options).files("a")
    assert [str(path) for path in found] == ["out/a.nii.gz", "out/a.npz", "out/displacement/a.nii.gz"]
