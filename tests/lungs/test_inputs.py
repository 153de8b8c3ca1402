import pytest
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.inputs import INPUTS, channel_entries, kind_of, write_channels
from tests.lungs import made_up


@pytest.mark.parametrize(("kind", "channels"), [("i", 1), ("ibav", 4), ("l", 5), ("lbav", 8)])
def test_channels_of_each_kind(kind, channels):
    entries = channel_entries(kind)
    assert list(entries["channel_names"]) == [str(n) for n in range(channels)]
    assert len(entries["impulse_channels"]) == channels
    # nnU-Net itself must leave every mask alone
    schemes = [get_normalization_scheme(name).__name__ for name in entries["channel_names"].values()]
    first = "CTNormalization" if "i" in kind else "NoNormalization"
    assert schemes == [first] + ["NoNormalization"] * (channels - 1)
    assert kind_of(entries, "dataset.json") == kind


def test_a_ct_alone_needs_no_entry_of_ours():
    assert kind_of({"channel_names": {"0": "CT"}}, "dataset.json") == "i"


@pytest.mark.parametrize(
    "content",
    [
        {"channel_names": {"0": "MR"}},
        {"channel_names": {"0": "CT", "1": "MR"}},
        {"channel_names": {"0": "CT"}, "impulse_channels": ["MR"]},
    ],
)
def test_a_data_set_of_another_kind(content):
    with pytest.raises(InputError, match=r"model/dataset\.json: found impulse_channels .*, expected i or ibav or l"):
        kind_of(content, "model/dataset.json")


def test_files_of_a_case(tmp_path):
    image = made_up.write(tmp_path / "ct.nii.gz", made_up.segments())
    masks = {"bronchus": made_up.tree("airway"), "artery": made_up.tree("artery"), "vein": made_up.tree("vein")}
    files = write_channels("ibav", "a", image, masks, tmp_path / "out", ".nii.gz")
    assert [file.name for file in files] == [f"a_{n:04d}.nii.gz" for n in range(4)]
    assert files[0].read_bytes() == image.read_bytes()
    assert [made_up.read(file).tolist() for file in files[1:]] == [masks[name].tolist() for name in INPUTS["ibav"][1:]]
