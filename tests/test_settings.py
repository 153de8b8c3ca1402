import json

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import NetworkSettings
from impulse_nnunet.settings import (
    AugmentationSettings,
    GridSettings,
    ImPulSeSettings,
    InferenceSettings,
    LossSettings,
    RegionSettings,
    SamplingSettings,
    TemplateSettings,
    TrainingSettings,
    from_json,
    network_settings_from_configuration,
    network_task,
    settings_from_configuration,
    to_json,
    with_overrides,
)

CHANGED = ImPulSeSettings(
    grid=GridSettings((8, 16, 24), (9, 17, 25)),
    region=RegionSettings(mode="two_pass", margin=0.1, whole_share=0.2, jitter=0.3, search_grid=(4, 8, 8)),
    sampling=SamplingSettings(points=7, mask_share=0.4, mask_channels=(1, 2)),
    augmentation=AugmentationSettings(
        rotation=0.0,
        scale=0.1,
        shift=0.2,
        brightness=0.3,
        contrast=0.4,
        noise=0.5,
        axis_scale=0.05,
        deformation=0.07,
        deformation_frequency=1.5,
        blur=0.9,
        low_resolution=0.4,
        gamma=0.6,
    ),
    loss=LossSettings(1.0, 2.0, 3.0),
    training=TrainingSettings(epochs=2, seed=5, max_minutes=1.5, averaging=0.9),
    template=TemplateSettings(mode="learned", iterations=10, learning_rate=0.1, smoothing=2.0),
    inference=InferenceSettings(10),
)
GRID = {"input_grid": [8, 8, 8], "working_grid": [9, 9, 9]}


@pytest.mark.parametrize(
    "settings",
    [
        CHANGED,
        NetworkSettings(
            features_per_stage=(4, 8), strides=((1, 1, 1), (1, 2, 2)), blocks_per_stage=(1, 2), norm="batch"
        ),
    ],
)
def test_settings_survive_a_json_file(settings):
    assert from_json(type(settings), json.loads(json.dumps(to_json(settings))), "plans") == settings


def test_what_the_plans_leave_out_takes_its_default():
    settings = settings_from_configuration({"impulse": {"grid": GRID, "training": {"epochs": 3}}})
    # the paper's: 0.5 CE + 1.0 Dice, 0.001 LD, 4096 points, AdamW at 1e-3
    assert settings.loss == LossSettings(0.5, 1.0, 0.001)
    assert (settings.sampling.points, settings.training.learning_rate, settings.training.epochs) == (4096, 1e-3, 3)


def test_whole_numbers_do_for_floats():
    assert from_json(LossSettings, {"dice": 2}, "loss").dice == 2.0


BAD_CONTENT = [
    ({"grids": {}}, r"plans, impulse: found the unknown setting 'grids', expected one of grid, .*; correct the plans"),
    ({"region": {"margins": 1}}, r"plans, impulse\.region: found the unknown setting 'margins', expected one of mode"),
    ({"region": 3}, r"plans, impulse\.region: found 3, expected an object"),
    ({"region": {"mode": 3}}, r"plans, impulse\.region\.mode: found 3, expected a value of type str"),
    ({"training": {"epochs": 2.5}}, r"impulse\.training\.epochs: found 2\.5, expected a value of type int"),
    ({"training": {"epochs": True}}, r"impulse\.training\.epochs: found True, expected a value of type int"),
    ({"loss": {"dice": True}}, r"impulse\.loss\.dice: found True, expected a value of type float"),
    ({"loss": {"dice": "1"}}, r"impulse\.loss\.dice: found '1', expected a value of type float"),
    ({"grid": GRID | {"input_grid": 8}}, r"impulse\.grid\.input_grid: found 8, expected a list"),
    ({"grid": GRID | {"input_grid": [8, 8]}}, r"grid\.input_grid: found \[8, 8\], expected 3 entries"),
    ({"grid": GRID | {"input_grid": [8, 8, "x"]}}, r"grid\.input_grid: found 'x', expected a value of type int"),
    ({"grid": {"input_grid": [8, 8, 8]}}, r"impulse\.grid: found .*working_grid.*, expected a complete, consistent"),
    (
        {"region": {"mode": "half"}},
        r"region\.mode: found 'half', expected one of whole, two_pass; correct the plans file",
    ),
    ({"region": {"margin": 2.0}}, r"region\.margin: found 2\.0, expected a share in \[0, 1\]"),
    ({"region": {"whole_share": -0.1}}, r"region\.whole_share: found -0\.1, expected a share in \[0, 1\]"),
    ({"region": {"jitter": 0.6}}, r"region\.jitter: found 0\.6, expected a share in \[0, 0\.5\]"),
    ({"region": {"search_grid": [8, 8]}}, r"region\.search_grid: found \(8, 8\), expected nothing, or three positive"),
    ({"region": {"search_grid": [8, 0, 8]}}, r"region\.search_grid: found \(8, 0, 8\), expected nothing, or three pos"),
    ({"sampling": {"points": 0}}, r"sampling\.points: found 0, expected a positive number"),
    ({"sampling": {"mask_share": 1.5}}, r"sampling\.mask_share: found 1\.5, expected a share in \[0, 1\]"),
    ({"sampling": {"mask_share": 0.5}}, r"sampling\.mask_share: found 0\.5, expected 0 where .*and .*tree_folders are"),
    ({"sampling": {"region_share": -0.1}}, r"sampling\.region_share: found -0\.1, expected a share in \[0, 1\]"),
    (
        {"sampling": {"mask_share": 0.75, "region_share": 0.5, "mask_channels": [1]}},
        r"sampling\.mask_share \+ sampling\.region_share: found 1\.25, expected at most 1; correct the plans file",
    ),
    ({"augmentation": {"blur": -1}}, r"augmentation\.blur: found -1\.0, expected voxels, 0 to 8"),
    ({"augmentation": {"low_resolution": 1}}, r"low_resolution: found 1\.0, expected a share in \[0, 1\)"),
    ({"augmentation": {"gamma": -0.5}}, r"augmentation\.gamma: found -0\.5, expected a number in \[0, 4\]"),
    ({"augmentation": {"axis_scale": 1}}, r"augmentation\.axis_scale: found 1\.0, expected a share in \[0, 1\)"),
    (
        {"augmentation": {"deformation": -0.1}},
        r"augmentation\.deformation: found -0\.1, expected a share in \[0, 0\.5\]",
    ),
    (
        {"augmentation": {"deformation_frequency": 0}},
        r"deformation_frequency: found 0\.0, expected more than 0, at",
    ),
    ({"training": {"epochs": 0}}, r"training\.epochs: found 0, expected a positive number"),
    ({"training": {"iterations": 0}}, r"training\.iterations: found 0, expected a positive number"),
    ({"training": {"validation_iterations": -1}}, r"training\.validation_iterations: found -1, expected a positive"),
    ({"training": {"averaging": 1}}, r"training\.averaging: found 1\.0, expected a share in \[0, 1\)"),
    ({"template": {"mode": "flat"}}, r"template\.mode: found 'flat', expected one of frequency, learned"),
    ({"template": {"iterations": 0}}, r"template\.iterations: found 0, expected a positive number"),
    ({"template": {"smoothing": 0}}, r"template\.smoothing: found 0\.0, expected a positive number"),
    ({"inference": {"block_points": 0}}, r"inference\.block_points: found 0, expected a positive number"),
]


@pytest.mark.parametrize(("content", "message"), BAD_CONTENT)
def test_a_bad_entry_is_refused_with_its_name(content, message):
    with pytest.raises(InputError, match=message):
        settings_from_configuration({"impulse": {"grid": GRID} | content})


def test_plans_of_another_planner_are_refused():
    with pytest.raises(InputError, match=r"found a configuration without 'impulse', expected 3d_impulse of ImPulSePl"):
        settings_from_configuration({"patch_size": [1, 2, 3]})


def test_another_network_is_refused():
    architecture = {"network_class_name": "PlainConvUNet", "arch_kwargs": {}}
    with pytest.raises(InputError, match=r"found the network PlainConvUNet, expected impulse_nnunet\.network\.ImPulS"):
        network_settings_from_configuration({"architecture": architecture})


def test_the_network_named_in_plans_exists():
    from impulse_nnunet import network
    from impulse_nnunet.settings import NETWORK_CLASS

    module, name = NETWORK_CLASS.rsplit(".", 1)
    assert module == network.__name__
    assert isinstance(getattr(network, name), type)


def test_inconsistent_sizes_of_the_network_are_refused_with_their_place():
    architecture = {
        "network_class_name": "impulse_nnunet.network.ImPulSeNet",
        "arch_kwargs": {"features_per_stage": [8, 16]},
    }
    with pytest.raises(InputError, match=r"plans, architecture\.arch_kwargs: found features_per_stage has 2 entries"):
        network_settings_from_configuration({"architecture": architecture})


def test_overrides_reach_nested_entries():
    content = {"batch_size": 2, "impulse": {"training": {"epochs": 100, "seed": 0}}}
    with_overrides(content, {"impulse.training.epochs": 5, "batch_size": 1})
    assert content == {"batch_size": 1, "impulse": {"training": {"epochs": 5, "seed": 0}}}


@pytest.mark.parametrize("name", ["impulse.training.epoch", "epochs", "batch_size.x", "impulse.train.epochs"])
def test_an_override_of_nothing_is_refused(name):
    content = {"batch_size": 2, "impulse": {"training": {"epochs": 100}}}
    with pytest.raises(InputError, match=rf"`overrides` {name}: found no such setting, expected a dotted name"):
        with_overrides(content, {name: 1})


def configuration_with(mode, **switches):
    network = NetworkSettings(
        features_per_stage=(4, 8),
        strides=((1, 1, 1), (2, 2, 2)),
        blocks_per_stage=(1, 1),
        template_grid=(4, 6, 8),
        **switches,
    )
    impulse = to_json(ImPulSeSettings(grid=GridSettings((4, 6, 8), (4, 6, 8)), template=TemplateSettings(mode=mode)))
    architecture = {"network_class_name": "impulse_nnunet.network.ImPulSeNet", "arch_kwargs": to_json(network)}
    return {"batch_size": 2, "impulse": impulse, "architecture": architecture}


def test_training_a_template_that_is_switched_off_is_refused():
    assert network_settings_from_configuration(configuration_with("co_trained")).template
    message = (
        r"plans, impulse\.template\.mode: found 'co_trained', expected frequency or learned where "
        r"architecture\.arch_kwargs\.template is off; correct the plans file"
    )
    with pytest.raises(InputError, match=message):
        network_settings_from_configuration(configuration_with("co_trained", template=False, deformation=False))


def test_contradicting_switches_are_refused_with_their_place():
    configuration = configuration_with("frequency")
    configuration["architecture"]["arch_kwargs"]["template"] = False
    with pytest.raises(InputError, match=r"plans, architecture\.arch_kwargs: found deformation is on and template off"):
        network_settings_from_configuration(configuration)


def test_plans_from_before_the_switches_mean_what_they_meant():
    configuration = configuration_with("frequency")
    for name in ("encoder", "kernel_sizes", "template", "deformation", "correction"):
        del configuration["architecture"]["arch_kwargs"][name]
    assert network_settings_from_configuration(configuration) == NetworkSettings(
        features_per_stage=(4, 8), strides=((1, 1, 1), (2, 2, 2)), blocks_per_stage=(1, 1), template_grid=(4, 6, 8)
    )


def test_what_a_network_is_built_for():
    task = network_task(configuration_with("co_trained") | {"estimates": {"extent_mm": [8.0, 6.0, 4.0]}}, 2, 3)
    assert (task.input_channels, task.number_of_classes, task.input_grid, task.co_trained) == (2, 3, (4, 6, 8), True)
    assert tuple(task.spacing_mm) == (2.0, 1.0, 0.5)
