"""Cox's partial likelihood of a network's log relative hazards."""

from __future__ import annotations

from typing import Literal

import torch

_ROWS = 1024


def partial_likelihood(
    hazard: torch.Tensor, time: torch.Tensor, event: torch.Tensor, ties: Literal["efron", "breslow"] = "efron"
) -> torch.Tensor:
    """Minus the log partial likelihood (Cox 1972), summed over the events; 0 where there is none.

    hazard: (N,) log relative hazards. time: (N,) of the event or of the last time the patient was seen. event: (N,),
    above 0.5 for an event. Events at one time: `efron` (Efron 1977, eq. 3.3) takes the part k/d of the d tied cases out
    of the risk set of the (k+1)-th of them, `breslow` (Breslow 1974) leaves all in.

    The risk sets are made of the cases that are given. On a batch that is the likelihood of a random part of the
    cohort: its minimum is where that of the whole lies, but a batch without two cases at risk at an event teaches
    nothing, so a batch should hold several events (16 cases are few).
    """
    happened = event > 0.5
    if not bool(happened.any()):
        return (hazard * 0.0).sum()
    h, t = hazard[happened], time[happened]
    parts = [_rows(h[i : i + _ROWS], t[i : i + _ROWS], i, h, t, hazard, time, ties) for i in range(0, len(h), _ROWS)]
    return torch.stack(parts).sum()


def _rows(
    own: torch.Tensor, at: torch.Tensor, first: int, h: torch.Tensor, t: torch.Tensor,
    hazard: torch.Tensor, time: torch.Tensor, ties: str,
) -> torch.Tensor:  # fmt: skip
    """The terms of some events (their log hazards `own` at the times `at`, from event number `first` on)."""
    risk = hazard.masked_fill(time < at[:, None], -torch.inf).logsumexp(1)
    if ties == "efron":
        tied = t == at[:, None]
        count = tied.sum(1)
        earlier = (
            torch.arange(len(t), device=t.device) < torch.arange(first, first + len(own), device=t.device)[:, None]
        )
        part = (tied & earlier).sum(1).to(own) / count
        share = (h.masked_fill(~tied, -torch.inf).logsumexp(1) - risk).exp().clamp(max=1.0)
        risk = risk + torch.log1p(-part * share)
    return (risk - own).sum()
