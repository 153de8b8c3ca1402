"""Batches on the training device; on CUDA the next one is made while the network computes.

A thread takes the samples, uploads them and interpolates them on a stream of its own. The training's stream waits for
the event that ends this, on the GPU, and the allocator is told that the tensors are in use there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import torch

from impulse_nnunet.training.batches import OrderedPrefetcher, Sample
from impulse_nnunet.training.inputs import NetworkBatch

Made = tuple[NetworkBatch, torch.cuda.Event | None]


class DeviceBatches(Iterator[NetworkBatch]):
    """What :class:`OrderedPrefetcher` yields, as tensors on a device.

    Args:
        loader: Yields the samples of each step.
        make: Samples -> tensors on the device.
        device: Where to train.
        ahead: Make the next batch in a thread; by default on CUDA alone.
    """

    def __init__(
        self,
        loader: OrderedPrefetcher,
        make: Callable[[Sequence[Sample]], NetworkBatch],
        device: torch.device,
        ahead: bool | None = None,
    ) -> None:
        self.loader, self.make, self.device = loader, make, device
        self.step = loader.step  # of the batch that comes next; the loader may be one further
        on_gpu = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if on_gpu else None
        self.pool = ThreadPoolExecutor(1) if (on_gpu if ahead is None else ahead) else None
        self.pending: Future[Made] | None = None

    def seek(self, step: int) -> None:
        """Continue with ``step``."""
        if step == self.step:
            return
        self._forget()
        self.loader.seek(step)
        self.step = step

    def __next__(self) -> NetworkBatch:
        if self.pool is None:
            batch, made = self._made()
        else:
            batch, made = (self.pending or self.pool.submit(self._made)).result()
            self.pending = self.pool.submit(self._made)
        self.step += 1
        if made is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(made)
            for tensor in batch.tensors():
                tensor.record_stream(current)
        return batch

    def close(self) -> None:
        """End the threads."""
        self._forget()
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
        self.loader.close()

    def _made(self) -> Made:
        """The next batch, and the event on the GPU that ends its making."""
        samples = next(self.loader)
        if self.stream is None:
            return self.make(samples), None
        on_stream: AbstractContextManager[object] = torch.cuda.stream(self.stream)
        with on_stream:
            batch = self.make(samples)
            return batch, self.stream.record_event()

    def _forget(self) -> None:
        """Drop what is made already; an error in it is nobody's any more."""
        if self.pending is not None:
            self.pending.exception()
            self.pending = None
