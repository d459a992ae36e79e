"""The Lightning module of pretraining: an encoder, the part that is thrown away afterwards, and one step."""

from __future__ import annotations

from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import nn

from insula.core.recipe import Augment, Normalise
from insula.core.recipe_pretrain import Pretrain
from insula.train.augment import augment
from insula.train.optimise import make_optimizer, set_rate
from insula.train.pretrain_losses import effective_rank, hidden, painted, spread, vicreg
from insula.train.schedule import factor


class Expander(nn.Sequential):
    """Three linear layers, the first two with batch norm and ReLU: features (N, E) → embeddings (N, width)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(
            nn.Linear(features, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
        )


class Painter(nn.Module):
    """A feature map (N, E, h, w) back to a picture (N, C, H, W): each cell paints its own square of pixels.

    `token` (C,) stands in for hidden pixels at the encoder's input. What cells paint beyond the picture's edge is cut.
    """

    def __init__(self, features: int, channels: int, size: tuple[int, int], cells: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.square = max(-(-size[0] // cells[0]), -(-size[1] // cells[1]))
        self.token = nn.Parameter(torch.zeros(channels))
        width = min(features, 128)
        self.mix = nn.Conv2d(features, width, 3, padding=1)
        self.paint = nn.Conv2d(width, channels * self.square**2, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pictures (N, C, H, W)."""
        pictures = F.pixel_shuffle(self.paint(F.gelu(self.mix(maps))), self.square)
        return pictures[:, :, : self.size[0], : self.size[1]]


class PretrainModule(lightning.LightningModule):
    """Fits an encoder (N, C, H, W) → (N, E, h, w) to slices without labels.

    Logs train_loss and its parts, `spread` and `rank` of the encoder's pooled features, and lr. Random numbers are tied
    to the step's place in the run, so that a resumed run goes on exactly.
    """

    def __init__(
        self,
        encoder: nn.Module,
        section: Pretrain,
        views: Augment,
        normalise: Normalise,
        shape: tuple[int, int, int],
        seed: int,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        features: int = encoder.num_features  # type: ignore[assignment]
        self.encoder, self.section, self.views, self.seed = encoder, section, views, seed
        self.head: Expander | Painter
        if section.method == "vicreg":
            self.head = Expander(features, section.width)
        else:
            cells: tuple[int, int] = encoder.cells  # type: ignore[assignment]
            self.head = Painter(features, channels, (height, width), cells)
        for name, values in (("mean", normalise.mean), ("std", normalise.std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1))
        self.steps_per_epoch = 1

    def on_train_epoch_start(self) -> None:
        """Tell the sampler and the data set which epoch this is."""
        loader: Any = self.trainer.train_dataloader
        loader.sampler.epoch = self.current_epoch
        loader.dataset.epoch = self.current_epoch
        self.steps_per_epoch = len(loader)

    def on_train_batch_start(self, batch: torch.Tensor, index: int) -> None:
        """Set the learning rate of the coming step."""
        fitting = self.section.fitting
        total = self.section.epochs * self.steps_per_epoch
        rate = fitting.lr * factor(self.trainer.global_step, total, self.steps_per_epoch, fitting)
        set_rate(self.trainer.optimizers[0], rate)
        self.log("lr", rate, on_step=False, on_epoch=True)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        """One loss of slices (N, 2, C, H, W) for vicreg, (N, 1, C, H, W) for masked."""
        step_seed = (self.seed * 1_000_003 + self.current_epoch * 100_003 + index) % 2**62
        torch.manual_seed(step_seed)  # for encoders that draw random numbers themselves
        generator = torch.Generator().manual_seed(step_seed + 1)
        pictures = augment(batch.flatten(0, 1).unsqueeze(1), self.views, generator).squeeze(1)
        pictures = (pictures - self.get_buffer("mean")) / self.get_buffer("std")
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if isinstance(self.head, Expander):
            features, loss, parts = self._pairs(pictures)
        else:
            features, loss, parts = self._painted(pictures, generator)
        with torch.no_grad():
            parts |= {"spread": spread(features), "rank": effective_rank(features)}
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch))
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the encoder and the part that is thrown away."""
        return make_optimizer(self, self.section.fitting)

    def _pairs(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        features = self.encoder(pictures).mean((2, 3))
        z = self.head(features)
        found = vicreg(z[0::2], z[1::2])
        parts = {"invariance": found.invariance, "variance": found.variance, "covariance": found.covariance}
        return features[0::2], found.loss, parts

    def _painted(
        self, pictures: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        size = (pictures.shape[2], pictures.shape[3])
        hide = hidden(len(pictures), size, self.section.patch, self.section.hide, generator).to(pictures)
        token = self.head.get_parameter("token").view(1, -1, 1, 1)
        maps = self.encoder(torch.where(hide > 0.5, token, pictures))
        loss = painted(self.head(maps), pictures, hide)
        return maps.mean((2, 3)), loss, {}
