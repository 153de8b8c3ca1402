import pytest

from impulse_nnunet.cli.main import main
from tests.security.harmful import MODEL, Harmful, write_model, zip_of


def test_a_good_model_and_its_zip_file(nnunet_folders, capsys):
    model = write_model(nnunet_folders / "elsewhere")
    archive = zip_of(nnunet_folders / "elsewhere", nnunet_folders / "model.zip")
    assert main(["check_model", str(model)]) == 0
    assert f"safe and complete; next: impulse_nnunet predict -m {model} ..." in capsys.readouterr().out
    assert main(["check_model", str(archive)]) == 0
    assert f"safe and complete; next: impulse_nnunet install_model {archive}" in capsys.readouterr().out
    assert main(["install_model", str(archive)]) == 0
    assert f"installed:\n  {nnunet_folders / 'nnUNet_results' / MODEL}" in capsys.readouterr().out
    assert main(["install_model", str(archive)]) == 2
    assert "found a model that is there already" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check_model", "install_model"])
def test_a_model_that_would_run_code_exits_with_2(nnunet_folders, capsys, command):
    write_model(nnunet_folders / "elsewhere", extra=Harmful(nnunet_folders / "marker"))
    archive = zip_of(nnunet_folders / "elsewhere", nnunet_folders / "model.zip")
    assert main([command, str(archive)]) == 2
    assert "BAD  nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse, fold_0" in capsys.readouterr().out
    assert not (nnunet_folders / "marker").exists()
    assert not any((nnunet_folders / "nnUNet_results").iterdir())
