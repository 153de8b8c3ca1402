import pytest

from impulse_nnunet.network import NetworkSettings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features_per_stage": (8, 16)}, "features_per_stage has 2 entries, strides 4, blocks_per_stage 4; all three"),
        ({"blocks_per_stage": (2,)}, "features_per_stage has 4 entries, strides 4, blocks_per_stage 1; all three"),
        ({"norm": "layer"}, "norm is 'layer'; expected 'instance' or 'batch'"),
        ({"stem_kernel_size": 4}, "stem_kernel_size is 4; expected an odd number"),
        ({"head_dropout": 1.0}, r"head_dropout is 1\.0; expected a share in \[0, 1\)"),
        ({"kernel_sizes": ((3, 3, 3),)}, r"kernel_sizes is .*; expected one of odd numbers for each of 4 stages"),
        ({"kernel_sizes": ((2, 3, 3),) * 4}, r"kernel_sizes is .*; expected one of odd numbers for each of 4 stages"),
        (
            {"encoder": "resnet"},
            "encoder is 'resnet'; expected resnet18, unet_encoder, unet or a class dynamic_network",
        ),
        ({"encoder": "os.path"}, r"encoder is 'os\.path'; expected resnet18"),  # plans must not import what they like
        ({"template": False}, "deformation is on and template off: there is nothing to deform; switch both on or both"),
        (
            {"template": False, "deformation": False, "correction": False},
            "template, deformation and correction are all off: nothing makes logits; switch correction on, or",
        ),
        (
            {"deformation": False, "correction": False},
            "template is on, deformation and correction off: the image would decide nothing; switch one of them on",
        ),
        ({"head_dropout": -0.1}, r"head_dropout is -0\.1; expected a share in \[0, 1\)"),
    ],
)
def test_inconsistent_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NetworkSettings(**arguments)


def test_defaults_are_the_papers_resnet_18():
    settings = NetworkSettings()  # FACTS: 64 @128^3, 128 @64^3, 256 @32^3, 512 @16^3; template 128^3
    assert settings.features_per_stage == (64, 128, 256, 512)
    assert settings.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert settings.template_grid == (128, 128, 128)


def test_the_switches_of_the_papers_tables_are_all_allowed():
    # rows of Table 2: none (ImPulSe), T D, T D C; and the template with a correction but no deformation
    for template, deformation, correction in [(0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 0, 1)]:
        NetworkSettings(template=bool(template), deformation=bool(deformation), correction=bool(correction))
