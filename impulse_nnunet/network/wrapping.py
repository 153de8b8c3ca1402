"""Wrappers of PyTorch around a network."""

from __future__ import annotations

from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel


def bare_network(network: nn.Module) -> nn.Module:
    """The network without the wrappers of torch.compile and DDP."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network
