import nibabel
import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from impulse_nnunet.cli.predict import _settings
from impulse_nnunet.jobs.content import digest_of
from impulse_nnunet.nnunet.output_options import OutputOptions

MODEL = {"fold_0/checkpoint_final.pth": "0123"}


def test_records_tell_apart_models_options_and_the_grid_of_another_image(tmp_path):
    def settings(identity=None, **options):
        return digest_of(_settings(identity or MODEL, OutputOptions(**options)))

    other = tmp_path / "grid.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), other)
    like = settings(like=str(other))
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 4, 4), np.uint8), np.eye(4)), other)
    found = [
        settings(),
        settings({"fold_0/checkpoint_final.pth": "4567"}),
        settings(displacement=True),
        like,
        settings(probabilities=True),
        settings(spacing_mm=(1, 1, 1)),
        settings(like=str(other)),
        settings(meshes=("glb",)),
        settings(meshes=("glb",), mesh_spacing_mm=0.3),
    ]
    assert len(set(found)) == len(found)
    assert settings() == settings() == settings(mesh_spacing_mm=0.3)  # which counts for surfaces alone


def test_resuming_and_starting_over_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "-m", "M", "-i", "I", "-o", "O", "--continue_prediction", "--overwrite"])
    assert "not allowed with argument" in capsys.readouterr().err
