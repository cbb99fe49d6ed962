"""The smallest training: a model of one weight, and its points."""

import torch
from torch.utils.data import Dataset


class Numbers(Dataset[dict[str, torch.Tensor]]):
    """Sixteen points of a line."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([index / 16]), "labels": torch.tensor([index / 8])}


class Line(torch.nn.Module):
    """y = w x, with noise from torch's generator: what it draws shows in the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        noise = torch.rand(1) / 8 if self.training else torch.zeros(1)
        return {"loss": ((self.w * x + noise - labels) ** 2).mean(), "logits": self.w * x}
