import argparse

import pytest

from impulse_nnunet.cli.output_flags import add_output_flags, output_options
from impulse_nnunet.nnunet.output_options import OutputOptions


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", OutputOptions()),
        ("--spacing 3 2 1 --save_displacement", OutputOptions(spacing_mm=(3, 2, 1), displacement=True)),
        ("--mesh glb obj glb", OutputOptions(meshes=("glb", "obj"))),
        ("--mesh vtp --mesh_spacing 0.3", OutputOptions(meshes=("vtp",), mesh_spacing_mm=0.3)),
    ],
)
def test_flags_and_what_they_ask_for(line, expected):
    parser = argparse.ArgumentParser()
    add_output_flags(parser)
    assert output_options(parser.parse_args(line.split())) == expected
