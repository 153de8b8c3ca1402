import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.locks import locked


def test_a_lock_keeps_a_second_call_out(tmp_path):
    held = pytest.raises(InputError, match="another call at work on this run")
    with locked(tmp_path / "lock"), held, locked(tmp_path / "lock", wait=False):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass
