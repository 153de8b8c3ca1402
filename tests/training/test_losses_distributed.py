"""Two processes (Gloo, CPU) with half of the batch each have the loss's gradient of one process with all of it."""

import os

import torch
from torch import distributed, multiprocessing

from impulse_nnunet.network import PointPrediction
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.losses import point_loss

CLASSES = 3


def batch():
    generator = torch.Generator().manual_seed(0)
    encodings = torch.randn(4, 50, 5, generator=generator)
    return encodings, torch.randint(0, CLASSES, (4, 50), generator=generator)


def gradient(encodings, labels):
    weight = torch.linspace(-1, 1, 5 * (CLASSES + 3)).reshape(5, CLASSES + 3).requires_grad_()
    out = encodings @ weight
    loss = point_loss(PointPrediction(out[..., :CLASSES], out[..., CLASSES:]), labels, LossSettings())
    loss.backward()
    return weight.grad


def work(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    encodings, labels = batch()
    half = slice(2 * rank, 2 * rank + 2)
    mine = gradient(encodings[half], labels[half])
    distributed.all_reduce(mine)
    if rank == 0:
        torch.save(mine / 2, os.path.join(folder, "gradient.pt"))  # DDP takes the mean over processes
    distributed.destroy_process_group()


def test_gradients_of_two_processes_equal_those_of_one(tmp_path):
    multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "gradient.pt", weights_only=True)
    torch.testing.assert_close(found, gradient(*batch()), rtol=1e-5, atol=1e-7)
