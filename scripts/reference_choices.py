"""What each value means that a key of a recipe may be chosen from, where its docstring does not say."""

from __future__ import annotations

from collections.abc import Mapping

_POOL: Mapping[str, str] = {
    "mean": "the mean of all slices",
    "max": "the largest value of each feature",
    "attention": "a weighted mean whose weights are learnt",
    "transformer": "a small transformer over the slices in their order",
}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "model.pool": _POOL,
    "model.roles.NAME.pool": _POOL,
    "model.bags": {name: _POOL[name].replace("slices", "series or slides") for name in ("mean", "max", "attention")},
    "policy.calibration": {
        "temperature": "one number that all columns are divided by",
        "logistic": "a line in the logit of each class",
        "isotonic": "rising steps",
    },
    "policy.aggregate": {
        "mean": "the mean of the inputs' probabilities",
        "max": "the largest",
        "noisy_or": "the chance that at least one input is positive, were they independent",
        "majority": "the share of the inputs that vote for the class",
        "learned": "a power mean fitted on validation patients",
    },
    "policy.refer.by": {
        "dropout": "passes with features dropped at random",
        "views": "the scan moved and turned a little",
        "members": "the networks of an ensemble",
    },
    "train.optimizer": {
        "adamw": "Adam with decoupled weight decay",
        "adam": "Adam",
        "sgd": "gradient descent with Nesterov's momentum",
    },
    "train.schedule": {
        "constant": "the rate stays",
        "cosine": "half a cosine down to 0",
        "plateau": "falls where the validation loss does not",
        "step": "falls every so many epochs",
        "one_cycle": "rises in the first 30% of the steps, then falls, with no other warm-up",
    },
    "train.precision": {
        "auto": "what the device computes fastest and safely",
        "fp32": "single precision",
        "bf16": "bfloat16 where it is safe",
        "fp16": "half precision with a scaled loss",
    },
    "train.balance": {"none": "every case once in an epoch", "class": "rare classes more often"},
    "train.stages[].train": {
        "head": "pooling, fusion and heads; the encoder is frozen",
        "last_blocks": "the encoder's last blocks too",
        "all": "everything",
    },
}
