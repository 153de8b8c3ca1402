import pytest

from impulse_nnunet.channels import channel_titles, sampled_channels, tree_folders
from impulse_nnunet.errors import InputError


def content(*names, **entries):
    return {"channel_names": {str(n): name for n, name in enumerate(names)}} | entries


def test_without_our_entry_all_masks_are_sampled():
    found = content("CT", "noNorm", "noNorm")
    assert channel_titles(found) is None
    assert sampled_channels(found, (1, 2)) == (1, 2)
    assert tree_folders(found) == ()


def test_lobes_are_masks_that_are_not_sampled():
    found = content("noNorm", "noNorm", "noNorm", impulse_channels=["right upper lobe", "vein", "bronchus"])
    assert sampled_channels(found, (0, 1, 2)) == (1, 2)


@pytest.mark.parametrize("entry", [["CT"], ["CT", 1], "CT, vein", {"0": "CT"}])
def test_an_entry_that_does_not_fit_the_channels(entry):
    message = r"dataset\.json, impulse_channels: found .*, expected a list of 2 names, one for each channel"
    with pytest.raises(InputError, match=message):
        channel_titles(content("CT", "noNorm", impulse_channels=entry))


@pytest.mark.parametrize("entry", ["trees", [1], ["/root/trees"], ["../other/trees"]])
def test_tree_folders_lie_in_the_data_set(entry):
    with pytest.raises(InputError, match=r"dataset\.json, impulse_trees: found .*, expected a list of folders in the"):
        tree_folders(content("CT", impulse_trees=entry))
