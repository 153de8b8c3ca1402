from pathlib import Path

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.output_options import OutputOptions, every_file


def test_files_of_a_case():
    options = OutputOptions(probabilities=True, displacement=True, meshes=("glb", "obj"))
    assert [str(path) for path in options.files(Path("out"), "a", ".nii.gz")] == [
        "out/a.nii.gz",
        "out/a.npz",
        "out/displacement/a.nii.gz",
        "out/meshes/a.glb",
        "out/meshes/a.obj",
        "out/meshes/a.mtl",
    ]
    assert OutputOptions().files(Path("out"), "a", ".mha") == [Path("out/a.mha")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"meshes": ("stl",)}, "`meshes`: found 'stl', expected some of obj, glb, 3mf, vtp"),
        ({"mesh_spacing_mm": 0.0}, "`mesh_spacing_mm`: found 0.0, expected a positive number of mm"),
        ({"mesh_spacing_mm": float("nan")}, "`mesh_spacing_mm`: found nan"),
    ],
)
def test_bad_meshes_are_named(wrong, message):
    with pytest.raises(InputError, match=message):
        OutputOptions(**wrong)


def test_every_file_holds_those_of_any_options():
    found = every_file(Path("out"), ".nii.gz", "a")
    for options in ({"probabilities": True}, {"displacement": True}, {"meshes": ("obj", "glb", "3mf", "vtp")}):
        assert set(OutputOptions(**options).files(Path("out"), "a", ".nii.gz")) < set(found)
    assert Path("out/a.pkl") in found
