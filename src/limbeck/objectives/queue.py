"""A first-in-first-out memory of teacher embeddings."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STARTS = ("rows", "columns")


class Queue(nn.Module):
    """The last `length` embeddings that were pushed; random directions before.

    Args:
        length: >= 1, free of the batch size.
        features: size D of an embedding.
        start: the first content is of length 1 by "rows", every embedding; or by "columns", every feature over the
            queue, as in the reference implementation, whose start is nearly 0 until batches have replaced it.
    """

    keys: Tensor
    place: Tensor

    def __init__(self, length: int, features: int, *, start: str = "rows") -> None:
        super().__init__()
        keys = torch.randn(length, features)
        self.register_buffer("keys", F.normalize(keys, dim=1 if start == "rows" else 0))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, embeddings: Tensor) -> None:
        """Puts [B, D] in place of the oldest; of more than the queue holds, the last.

        The content is a new tensor afterwards, as the backward pass may still need the old one.
        """
        length = len(self.keys)
        embeddings = embeddings.detach()[-length:].to(self.keys.dtype)
        places = (self.place + torch.arange(len(embeddings), device=self.place.device)) % length
        self.keys = self.keys.index_copy(0, places, embeddings)
        self.place = (self.place + len(embeddings)) % length
