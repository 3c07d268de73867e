"""BackRazor's pruning of what autograd saves, as hooks on PyTorch's saved tensors.

Written from the method's description (Jiang et al., NeurIPS 2022): of each sample and saved tensor the entries of
largest magnitude are kept, as 1-D values with a bit mask; products keep them in f16, LayerNorm in f32 with exact
statistics, and GELU keeps its whole input in f16.  Gradients are then computed from what is scattered back into zeros.
"""

import math

import numpy
import torch
from torch.autograd.graph import saved_tensors_hooks


class Saves:
    def __init__(self, prune: float, batch: int):
        self.prune, self.batch = prune, batch
        self.exempt: set[int] = set()
        self.last: tuple[torch.Tensor, tuple] | None = None

    def leave_alone(self, parameters) -> None:
        """Autograd also saves weights, under their storage's address; those are not pruned."""
        self.exempt = {p.untyped_storage().data_ptr() for p in parameters}

    def of_product(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(lambda x: self.pack(x, torch.float16), self.unpack)

    def of_norm(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(lambda x: self.pack(x, torch.float32), self.unpack)

    def of_gelu(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(lambda x: x.half(), lambda x: x.float())

    def pack(self, x: torch.Tensor, dtype: torch.dtype):
        statistics = x.dim() == 3 and x.shape[-1] == 1  # of LayerNorm: mean and 1 / deviation of each row
        if statistics or x.untyped_storage().data_ptr() in self.exempt:
            return x
        # Softmax saves the probabilities, and so does the product that they go into: they are stored once.
        if self.last and self.last[0].data_ptr() == x.data_ptr() and self.last[0].numel() == x.numel():
            _, values, mask, _ = self.last[1]
            return (dtype, values, mask, x.shape)
        flat = x.reshape(self.batch, -1)
        magnitude = flat.abs()
        drop = max(1, int(flat.shape[1] * self.prune))
        mask = magnitude >= magnitude.kthvalue(drop, dim=1, keepdim=True).values
        packed = (dtype, flat[mask].to(dtype), torch.from_numpy(numpy.packbits(mask.numpy())), x.shape)
        self.last = (x, packed)
        return packed

    def unpack(self, packed):
        if isinstance(packed, torch.Tensor):
            return packed
        _, values, bits, shape = packed
        mask = torch.from_numpy(numpy.unpackbits(bits.numpy(), count=math.prod(shape)))
        x = torch.zeros(math.prod(shape))
        x[mask.bool()] = values.float()
        return x.reshape(shape)
