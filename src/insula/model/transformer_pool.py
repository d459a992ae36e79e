"""A small transformer over the ordered slices of a bag, then gated attention, with its derivative written by hand."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from insula.model.attention_pool import AttentionPool

_FASTEST = 64.0  # half waves over the height of a bag in the fastest position signal: 64 slices are told apart


class Layer(nn.Module):
    """One pre-norm layer, y = a + MLP(norm a) with a = x + attention(norm x), for tokens (N, S, D).

    Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3.2 and 3.3, with the norms before the
    branches (Xiong et al., ICML 2020) and GELU (Hendrycks, Gimpel 2016) in the MLP.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
        """Tokens (N, S, D); same (N, 1, S, S): true where two slices are in one bag."""
        a = self._attended(x, same)
        narrowed: torch.Tensor = self.narrow(F.gelu(self.widen(self.norm_mlp(a))))
        return a + narrowed

    def slope(self, x: torch.Tensor, same: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The vector-Jacobian product of g (N, K, S, D) at x; holds a few arrays (N, K, heads, S, S)."""
        a = self._attended(x, same)
        h = self.widen(self.norm_mlp(a)).unsqueeze(1)
        bend = 0.5 * (1.0 + torch.erf(h / math.sqrt(2.0))) + h * torch.exp(-0.5 * h * h) / math.sqrt(2.0 * math.pi)
        inner = torch.matmul(bend * torch.matmul(g, self.narrow.weight), self.widen.weight)
        g = g + norm_slope(self.norm_mlp, a, inner)
        return g + norm_slope(self.norm_attention, x, self._attention_slope(x, same, g))

    def _attended(self, x: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
        p, _, _, v = self._attention(x, same)
        out: torch.Tensor = self.out(torch.matmul(p, v).transpose(1, 2).flatten(2))
        return x + out

    def _attention(self, x: torch.Tensor, same: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Weights (N, heads, S, S); queries (divided by √d), keys and values (N, heads, S, d)."""
        n = self.norm_attention(x)
        q, k, v = (self._split(part(n)) for part in (self.query, self.key, self.value))
        q = q / math.sqrt(q.shape[-1])
        scores = torch.matmul(q, k.transpose(2, 3))
        return torch.softmax(torch.where(same, scores, torch.finfo(scores.dtype).min), dim=3), q, k, v

    def _attention_slope(self, x: torch.Tensor, same: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Of the branch without its norm: softmax's derivative is p ⊙ (dp − Σ p·dp)."""
        p, q, k, v = (t.unsqueeze(1) for t in self._attention(x, same))
        back = self._split(torch.matmul(g, self.out.weight))
        d_p = torch.matmul(back, v.transpose(3, 4))
        d_s = p * (d_p - (p * d_p).sum(4, keepdim=True))
        d_q = self._join(torch.matmul(d_s, k)) / math.sqrt(k.shape[-1])
        d_k = self._join(torch.matmul(d_s.transpose(3, 4), q))
        d_v = self._join(torch.matmul(p.transpose(3, 4), back))
        found: torch.Tensor = (
            torch.matmul(d_q, self.query.weight)
            + torch.matmul(d_k, self.key.weight)
            + torch.matmul(d_v, self.value.weight)
        )
        return found

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(…, S, D) → (…, heads, S, D / heads)."""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(-3, -2)

    def _join(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(-3, -2).flatten(-2)


class TransformerPool(nn.Module):
    """Each slice sees the others of its bag in their order; the corrected features are pooled by gated attention.

    Tokens of `width` numbers are made of the normalised features and of the slice's height in its bag, pass `layers`
    layers that attend within the bag alone, and are added to the features: f' = f + R·t. So it costs little beside the
    encoder whatever E is, and starts near plain attention pooling. Heights are relative, (rank + ½) / count, so any
    number of slices works. Shapes as in `insula.model.pooling`; the forward pass holds (N, heads, S, S) a layer: meant
    for series of slices, not for slides of thousands of tiles.
    """

    def __init__(self, features: int, layers: int = 2, heads: int = 4, width: int = 128) -> None:
        super().__init__()
        width = max(min(width, features) // (2 * heads), 1) * 2 * heads
        self.norm = nn.LayerNorm(features)
        self.narrow, self.back = nn.Linear(features, width), nn.Linear(width, features)
        nn.init.normal_(self.back.weight, std=0.02)
        nn.init.zeros_(self.back.bias)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.pool = AttentionPool(features)
        waves = torch.linspace(0.0, math.log(_FASTEST), width // 2).exp() * math.pi
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, B, E)."""
        z: torch.Tensor = self.pool(self._corrected(f, mask), mask)
        return z

    def weights(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The final attention's weights (N, B, S): the share of each corrected slice, which has seen the others too."""
        return self.pool.weights(self._corrected(f, mask), mask)

    def slope(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Σ_b g_b·dz_b/df (N, K, S, E); holds a few arrays (N, K, heads, S, S) at a time."""
        same = _same(mask)
        tokens = [self._first(f, mask)]
        for layer in self.layers:
            tokens.append(layer(tokens[-1], same))
        at_end = self.pool.slope(f + self.back(tokens[-1]), mask, g)
        back = torch.matmul(at_end, self.back.weight)
        for layer, x in zip(reversed(list(self.layers)), reversed(tokens[:-1]), strict=True):
            back = layer.slope(x, same, back)  # type: ignore[operator]
        return at_end + norm_slope(self.norm, f, torch.matmul(back, self.narrow.weight))

    def _corrected(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        same, tokens = _same(mask), self._first(f, mask)
        for layer in self.layers:
            tokens = layer(tokens, same)
        correction: torch.Tensor = self.back(tokens)
        return f + correction

    def _first(self, f: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens before the first layer (N, S, D): the features narrowed, and sines and cosines of the height."""
        height = (((torch.cumsum(mask, 2) - 0.5) * mask) / mask.sum(2, keepdim=True).clamp(min=1.0)).sum(1)
        angles = height.unsqueeze(2) * self.get_buffer("waves").to(f.dtype)
        place = torch.cat([torch.sin(angles), torch.cos(angles)], 2)
        narrowed: torch.Tensor = self.narrow(self.norm(f))
        return narrowed + place


def norm_slope(norm: nn.LayerNorm, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The vector-Jacobian product of a LayerNorm at x (N, S, D) for g (N, K, S, D).

    With x̂ the normalised x and h = γ ⊙ g: (h − mean h − x̂·mean(h ⊙ x̂)) / σ (Ba, Kiros, Hinton 2016).
    """
    centred = x - x.mean(-1, keepdim=True)
    scale = torch.rsqrt((centred * centred).mean(-1, keepdim=True) + norm.eps).unsqueeze(1)
    unit = centred.unsqueeze(1) * scale
    h = g * norm.weight
    return (h - h.mean(-1, keepdim=True) - unit * (h * unit).mean(-1, keepdim=True)) * scale


def _same(mask: torch.Tensor) -> torch.Tensor:
    """(N, 1, S, S): true where two slices are in one bag."""
    return (torch.matmul(mask.transpose(1, 2), mask) > 0.5).unsqueeze(1)
