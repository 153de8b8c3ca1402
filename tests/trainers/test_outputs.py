import numpy as np
import torch
from nnunetv2.utilities.collate_outputs import collate_outputs

from impulse_nnunet.trainers.outputs import losses_of, read_outputs


def test_outputs_come_as_nnunet_collates_them():
    steps = [{"loss": torch.tensor(0.5 + n), "tp_hard": torch.tensor([n, 2])} for n in range(3)]
    read = read_outputs(steps)
    assert [type(value) for output in read for value in output.values()] == [np.ndarray] * 6
    assert read[0]["loss"].dtype == np.float32
    collated = collate_outputs(read)
    np.testing.assert_array_equal(collated["loss"], [[0.5], [1.5], [2.5]])
    np.testing.assert_array_equal(collated["tp_hard"], [[0, 2], [1, 2], [2, 2]])


def test_steps_read_before_keep_their_place_and_value():
    steps = [{"loss": np.asarray(4.0, np.float32)}, {"loss": torch.tensor(2.0)}, {"loss": np.asarray(3.0, np.float32)}]
    assert losses_of(steps) == (4.0, 2.0, 3.0)
    assert losses_of(read_outputs(steps)) == (4.0, 2.0, 3.0)


def test_no_steps():
    assert read_outputs([]) == []
    assert losses_of([]) == ()
