"""Configurations of systems and seeds."""

import json

import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.errors import InputError
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.settings import (
    NETWORK_CLASS,
    GridSettings,
    ImPulSeSettings,
    SamplingSettings,
    settings_from_configuration,
    to_json,
)
from impulse_nnunet.studies.budget import Budget
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.rows import PLUS, TABLES, StudyRow, table
from impulse_nnunet.studies.variants import plans_file, read_configuration, variant, with_defaults

NAME = "Dataset901_Lungs"


@pytest.fixture
def dataset(nnunet_folders):
    """Plans of ours and of nnU-Net, without data."""
    network = NetworkSettings(
        features_per_stage=(4, 8), strides=((1, 1, 1), (2, 2, 2)), blocks_per_stage=(1, 1), template_grid=(4, 4, 4)
    )
    sampling = SamplingSettings(mask_share=0.3, mask_channels=(1,))
    architecture = {"network_class_name": NETWORK_CLASS, "arch_kwargs": to_json(network), "_kw_requires_import": []}
    del architecture["arch_kwargs"]["encoder"]  # as plans of before there was a choice
    ours = {
        "data_identifier": "ours",
        "batch_size": 2,
        "architecture": architecture,
        "impulse": to_json(ImPulSeSettings(grid=GridSettings((4, 4, 4), (4, 4, 4)), sampling=sampling)),
    }
    stock = {"architecture": {}}
    for plans, configuration in (("ImPulSePlans", {"3d_impulse": ours}), ("nnUNetPlans", {"3d_fullres": stock})):
        path = plans_file(NAME, plans)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"configurations": configuration, "plans_name": plans}))
    return NAME


def options(tmp_path, **changes):
    return StudyOptions(dataset=901, table=changes.pop("table", "1"), output=tmp_path, **changes)


def test_a_variant_changes_what_it_names_and_nothing_else(dataset, tmp_path):
    wanted = variant(
        StudyRow(key="x", name="X", changes={"impulse.loss.displacement": 0.0}),
        3,
        dataset,
        options(tmp_path, budget=Budget(400)),
    )
    assert wanted.name == "3d_impulse_x_400steps_seed3"
    base = settings_from_configuration(read_configuration(dataset, "ImPulSePlans", "3d_impulse"))
    changed = settings_from_configuration(wanted.resolved)
    assert changed.loss.displacement == 0
    assert (changed.training.seed, changed.training.epochs, changed.training.iterations) == (3, 8, 50)
    for part in ("grid", "region", "sampling", "augmentation", "template", "inference"):
        assert getattr(changed, part) == getattr(base, part)


def test_nnunet_reads_the_written_configuration_with_what_it_inherits(dataset, tmp_path):
    wanted = variant(PLUS, 0, dataset, options(tmp_path, budget=Budget(100)))
    wanted.write()
    wanted.write()
    content = json.loads(plans_file(dataset, "ImPulSePlans").read_text())
    assert list(content["configurations"]) == ["3d_impulse", "3d_impulse_plus_100steps_seed0"]
    found = PlansManager(content).get_configuration(wanted.name).configuration
    assert found["data_identifier"] == "ours"  # preprocessing is shared
    assert found["impulse"]["training"]["epochs"] == 2
    assert wanted.model_folder.name == "nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse_plus_100steps_seed0"


def test_rows_that_are_the_full_system_share_its_runs(dataset, tmp_path):
    asked = options(tmp_path, budget=Budget(100))
    names = {
        (row.key, key): variant(row, 0, dataset, asked).name
        for key in ("2", "3", "fig10")
        for row in table(key, shares=(0.0, 0.3)).rows
        if row.trains
    }
    full = variant(PLUS, 0, dataset, asked).name
    # the plans' own share is 0.3
    assert [row for row, name in names.items() if name == full] == [("plus", "2"), ("plus", "3"), ("share30", "fig10")]
    assert len(set(names.values())) == len(names) - 2


def test_common_settings_make_runs_of_their_own(dataset, tmp_path):
    plain = variant(PLUS, 0, dataset, options(tmp_path))
    changed = variant(PLUS, 0, dataset, options(tmp_path, settings={"impulse.training.learning_rate": 0.01}))
    assert plain.name == "3d_impulse_plus_14000steps_seed0"
    assert changed.name.startswith(plain.name + "_")
    assert changed.resolved["impulse"]["training"]["learning_rate"] == 0.01


def test_the_stock_row_gets_a_budget_under_its_own_plans(dataset, tmp_path):
    stock = next(row for row in table("1").rows if row.stock)
    wanted = variant(stock, 1, dataset, options(tmp_path, budget=Budget(400)))
    assert wanted.entry["inherits_from"] == "3d_fullres"
    assert (wanted.plans, wanted.name) == ("nnUNetPlans", "3d_fullres_400steps_seed1")
    assert wanted.entry["budget"]["epochs"] * wanted.entry["budget"]["iterations"] == 400
    assert wanted.entry["budget"]["mirroring"] is False


def test_all_rows_of_all_tables_are_settings_that_the_plans_know(dataset, tmp_path):
    inputs = {"lbav": 901, "i": 901, "ibav": 901}
    for key in TABLES:
        for row in table(key, inputs).rows:
            if row.trains:
                assert variant(row, 0, dataset, options(tmp_path, budget=Budget(50))).name


def test_points_in_vessels_need_vessels(dataset, tmp_path):
    path = plans_file(dataset, "ImPulSePlans")
    content = json.loads(path.read_text())
    content["configurations"]["3d_impulse"]["impulse"]["sampling"] |= {"mask_share": 0.0, "mask_channels": []}
    path.write_text(json.dumps(content))
    row = table("fig10", shares=(0.5,)).rows[0]
    with pytest.raises(InputError, match=r"1 - gamma = 0.5: found a data set without bronchi and vessels"):
        variant(row, 0, dataset, options(tmp_path))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"table": "7"}, "`table`: found '7'"),
        ({"seeds": 0}, "`seeds`: found 0"),
        ({"processes": 0}, "`processes`: found 0"),
        ({"inputs": {"ct": 5}}, "`inputs` ct: found no such kind"),
        ({"shares": (0.5, 0.5)}, "`shares`"),
        ({"shares": (1.0,)}, "`shares`"),
        (
            {"settings": {"impulse.grid.working_grid": [1, 1, 1]}},
            "`settings` impulse.grid.working_grid: found a setting that",
        ),
    ],
)
def test_bad_options_are_refused(tmp_path, changes, text):
    with pytest.raises(InputError, match=text):
        options(tmp_path, **changes)


def test_a_models_folder_must_be_one(tmp_path):
    with pytest.raises(InputError, match=r"`models` plus=.*: found no plans.json"):
        options(tmp_path, models={"plus": (tmp_path,)})


def test_an_unknown_setting_is_refused(dataset, tmp_path):
    with pytest.raises(InputError, match=r"`overrides` impulse.training.speed: found no such setting"):
        variant(PLUS, 0, dataset, options(tmp_path, settings={"impulse.training.speed": 2}))


def test_a_training_of_a_version_before_with_fewer_settings_stays_valid(dataset, tmp_path):
    wanted = variant(PLUS, 0, dataset, options(tmp_path, budget=Budget(400)))
    before = json.loads(json.dumps({"configuration": wanted.resolved, "fold": 0}))
    del before["configuration"]["impulse"]["augmentation"]["deformation"]
    del before["configuration"]["architecture"]["arch_kwargs"]["context_blocks"]
    assert with_defaults(before) == {"configuration": wanted.resolved, "fold": 0}
    assert "deformation" not in before["configuration"]["impulse"]["augmentation"]


@pytest.mark.parametrize("change", [{"deformation": 0.08}, {"no_such_setting": 1}])
def test_another_setting_is_no_default(dataset, tmp_path, change):
    wanted = variant(PLUS, 0, dataset, options(tmp_path, budget=Budget(400)))
    before = json.loads(json.dumps({"configuration": wanted.resolved}))
    before["configuration"]["impulse"]["augmentation"] |= change
    assert with_defaults(before) == before != {"configuration": wanted.resolved}


def test_inputs_of_stock_networks_and_of_predictions_are_left_alone():
    for inputs in ({}, {"sources": {"a": "b"}}, {"configuration": {"budget": {"epochs": 3}}}):
        assert with_defaults(inputs) == inputs
