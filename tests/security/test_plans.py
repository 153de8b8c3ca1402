import copy

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.security.class_names import is_known_class
from impulse_nnunet.security.plans import check_dataset_json, check_plans
from tests.security.harmful import DATASET_JSON, plans_content

STOCK_NETWORK = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "nonlin": "torch.nn.LeakyReLU",
        "dropout_op": None,
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def with_entry(path, value):
    plans = copy.deepcopy(plans_content())
    *parents, last = path.split("/")
    entry = plans
    for parent in parents:
        entry = entry[parent]
    entry[last] = value
    return plans


def test_our_plans_and_nnunets_pass():
    assert "impulse_nnunet.network.ImPulSeNet" in check_plans(plans_content(), "plans.json")
    plans = with_entry("configurations/3d_impulse/architecture", STOCK_NETWORK)
    plans["configurations"]["lower"] = {"inherits_from": "3d_impulse"}
    assert "torch.nn.LeakyReLU" in check_plans(plans, "plans.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image_reader_writer", "os"),
        ("image_reader_writer", "BaseReaderWriter.__subclasses__"),
        ("image_reader_writer", "no_resampling_hack"),  # a name, but of another folder
        ("label_manager", "subprocess"),
        ("configurations/3d_impulse/preprocessor_name", "os.system"),
        ("configurations/3d_impulse/normalization_schemes", ["CTNormalization", "eval"]),
        ("configurations/3d_impulse/normalization_schemes", "CTNormalization"),
        ("configurations/3d_impulse/resampling_fn_data", "exec"),
        ("configurations/3d_impulse/resampling_fn_seg", ["no_resampling_hack"]),
        ("configurations/3d_impulse/UNet_class_name", "os.system"),
        ("configurations/3d_impulse/architecture/network_class_name", "os.system"),
        ("configurations/3d_impulse/architecture/network_class_name", "impulse_nnunet.network.build.torch.hub.load"),
        ("configurations/3d_impulse/architecture/network_class_name", "nnunetv2.paths.os.system"),
        ("configurations/3d_impulse/architecture/network_class_name", "evil_package.Network"),
        ("configurations/3d_impulse/architecture/network_class_name", None),
        (
            "configurations/3d_impulse/architecture",
            STOCK_NETWORK | {"arch_kwargs": STOCK_NETWORK["arch_kwargs"] | {"nonlin": "os.system"}},
        ),
        ("configurations/3d_impulse", []),
        ("configurations", {}),
        ("dataset_name", "../../home"),
        ("configurations/3d_impulse/data_identifier", "a/b"),
        ("configurations/3d_impulse/batch_size", float("nan")),
    ],
)
def test_other_names_are_refused(path, value):
    with pytest.raises(InputError, match=r"plans\.json.*; take the model from its makers, or leave it"):
        check_plans(with_entry(path, value), "plans.json")


def test_a_strange_package_is_not_imported(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "evil_package.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Network: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plans = with_entry("configurations/3d_impulse/architecture/network_class_name", "evil_package.Network")
    with pytest.raises(
        InputError, match=r"found 'evil_package\.Network', expected a class of impulse_nnunet, nnunetv2"
    ):
        check_plans(plans, "plans.json")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("impulse_nnunet.network.ImPulSeNet", True),  # by the package that re-exports it
        ("impulse_nnunet.network.impulse_net.ImPulSeNet", True),
        ("dynamic_network_architectures.architectures.unet.ResidualEncoderUNet", True),
        ("torch.nn.modules.conv.Conv3d", True),
        ("torch.nn.Module.__init__", False),
        ("torch.hub.load", False),
        ("impulse_nnunet.network.build.build_network", False),  # no class
        ("dynamic_network_architectures.architectures.unet.nn.Sequential", False),
        ("impulse_nnunet..network.ImPulSeNet", False),
        ("ImPulSeNet", False),
        ("", False),
    ],
)
def test_which_dotted_names_are_known(name, known):
    assert is_known_class(name) is known


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("file_ending", "/../../etc/cron.d/x"),
        ("file_ending", ""),
        ("file_ending", 3),
        ("labels", []),
        ("channel_names", None),
        ("weight", float("inf")),
    ],
)
def test_dataset_json_that_prediction_cannot_use(entry, value):
    check_dataset_json(DATASET_JSON, "dataset.json")
    with pytest.raises(InputError, match=r"dataset\.json.*; take the model from its makers, or leave it"):
        check_dataset_json(DATASET_JSON | {entry: value}, "dataset.json")
