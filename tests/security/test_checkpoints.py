import zipfile

import numpy as np
import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.security.checkpoints import check_checkpoint, load_checkpoint, names_in_checkpoint
from tests.security.harmful import Harmful, checkpoint_content


def test_what_nnunet_saves_comes_back_unchanged(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    content = checkpoint_content()
    torch.save(content, path)
    found = load_checkpoint(path)
    assert found.keys() == content.keys()
    for name, value in content["network_weights"].items():
        assert torch.equal(found["network_weights"][name], value)
    for name in ("logging", "_best_ema", "init_args", "trainer_name"):
        assert found[name] == content[name]
    assert type(found["logging"]["mean_fg_dice"][1]) is np.float32


def test_the_names_are_those_that_pytorch_finds_besides_its_own(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save(checkpoint_content(), path)
    not_its_own = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    assert not_its_own
    assert not_its_own <= names_in_checkpoint(path)


@pytest.mark.parametrize("where", ["logging", "init_args", "network_weights", "extra"])
def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run_it(tmp_path, where):
    marker, path = tmp_path / "marker", tmp_path / "checkpoint_final.pth"
    torch.save(checkpoint_content(**{where: {"a": Harmful(marker)}}), path)
    message = r"checkpoint_final\.pth: found code that runs when it is read \(.*Path.*\), expected weights and numbers"
    with pytest.raises(InputError, match=message):
        load_checkpoint(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # read carelessly, it does


def test_pytorchs_reader_is_a_second_wall(tmp_path, monkeypatch):
    marker, path = tmp_path / "marker", tmp_path / "checkpoint_final.pth"
    torch.save(Harmful(marker), path)
    monkeypatch.setattr("impulse_nnunet.security.checkpoints.check_checkpoint", lambda _: set())
    with pytest.raises(InputError, match="found a checkpoint that cannot be read"):
        load_checkpoint(path)
    assert not marker.exists()


def test_numpy_1_names_are_read(tmp_path):
    # checkpoints written under numpy 1 name numpy.core where numpy 2 has numpy._core
    new, old = tmp_path / "new.pth", tmp_path / "old.pth"
    torch.save({"dice": np.float64(0.5)}, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b"numpy._core.", b"numpy.core."))
    assert "numpy.core.multiarray.scalar" in names_in_checkpoint(old)
    assert load_checkpoint(old) == {"dice": 0.5}


def test_a_damaged_file_and_no_file(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    with pytest.raises(InputError, match=r"found no such file, expected a checkpoint"):
        check_checkpoint(path)
    torch.save(checkpoint_content(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"found what cannot be read as one \(File is not a zip file\)"):
        check_checkpoint(path)


def test_a_bare_pickle_is_refused(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save(checkpoint_content(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="found what cannot be read as one"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("compressed", "found compressed entries, expected a checkpoint as torch.save writes it"),
        ("twice", "found two entries of one name"),
        ("second pickle", "found 2 pickles"),
    ],
)
def test_zip_files_that_torch_save_does_not_write(tmp_path, change, message):
    path, changed = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save({"a": torch.zeros(100)}, path)
    kind = zipfile.ZIP_DEFLATED if change == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w", kind) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
        if change == "twice":
            with pytest.warns(UserWarning, match="Duplicate name"):
                target.writestr("a/data.pkl", source.read("a/data.pkl"))
        if change == "second pickle":
            target.writestr("b/data.pkl", source.read("a/data.pkl"))
    with pytest.raises(InputError, match=message):
        load_checkpoint(changed)


def test_other_content_than_a_dict(tmp_path):
    torch.save([1], tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: found a list, expected a checkpoint of nnU-Net"):
        load_checkpoint(tmp_path / "a.pth")
