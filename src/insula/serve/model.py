"""The loaded model as the service uses it: files in, answers out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import UploadFile

from insula.bundle.load import load
from insula.core.errors import InsulaError
from insula.core.types import Decision, FloatArray, Prediction
from insula.infer.decide import decide, withheld
from insula.infer.predict import Predictor
from insula.infer.writers import named
from insula.scans import sandbox
from insula.scans.limits import Limits
from insula.serve.answers import INTENDED_USE, Answer, BatchItem, Fault, Insula, ModelInfo
from insula.serve.faults import RequestError, fault
from insula.serve.picture import Drawn, draw
from insula.serve.settings import Settings
from insula.serve.upload import mend, put_down, shown_name

LIMITS = Limits(max_bytes=1 << 30, max_voxels=1 << 27, max_files=2000)


@dataclass(frozen=True, eq=False)
class Result:
    """One predicted scan, as it may be shown, with the slices it was predicted from."""

    prediction: Prediction
    decision: Decision
    prepared: FloatArray


class Model:
    """One bundle, loaded, verified and warmed."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.predictor = Predictor(load(path), threads or None)
        self.bundle = self.predictor.bundle
        sandbox.shared().start()  # uploads are decoded in processes of their own
        self.predictor.engine.warm()

    def info(self) -> ModelInfo:
        """What is loaded."""
        recipe = self.bundle.recipe
        return ModelInfo(
            name=recipe.name,
            question=recipe.question,
            kind=recipe.target.kind,
            classes=list(recipe.target.classes),
            positive_class=recipe.target.positive,
            bundle_id=self.bundle.id,
            encoder=recipe.model.encoder,
            provider=self.predictor.engine.provider,
            providers=list(self.predictor.engine.available),
            provider_difference=self.predictor.engine.difference,
            modality=recipe.input.modality,
            thresholds=dict(self.bundle.decision.thresholds),
            uncertainty_source=recipe.policy.refer.by,
            metrics=dict(self.bundle.metrics),
            intended_use=INTENDED_USE,
        )

    def run(self, files: Sequence[UploadFile], uncertainty: bool) -> Result:
        """Predict one scan from its uploaded files. Raises InsulaError without a path of ours in it.

        The policy's limits are looked at whether the spread is asked for or not: the decision is the evaluated one.
        """
        refer = self.bundle.recipe.policy.refer
        ask = {*refer.sources, refer.by} if uncertainty else refer.sources
        with tempfile.TemporaryDirectory(prefix="insula-") as name:
            folder = Path(name)
            try:
                volume = sandbox.read_files(put_down(files, folder), LIMITS, self.bundle.recipe.input.tiles)
                prepared, warnings = self.predictor.prepare(volume)
            except InsulaError as error:
                raise mend(error, folder) from error
        prediction = self.predictor.from_slices(prepared, "upload", 0, warnings, volume.attributes, ask)
        decision = decide(prediction, self.bundle)
        return Result(withheld(prediction, decision), decision, prepared)

    def answer(self, result: Result, uncertainty: bool) -> Answer:
        """The service's answer to one prediction; the field `uncertainty` is set only when it was asked for."""
        prediction, decision, target = result.prediction, result.decision, self.bundle.recipe.target
        extra = Insula(
            decision=decision.action,
            reasons=list(decision.reasons),
            prediction_set=list(prediction.prediction_set),
            labels=self._labels(prediction),
            domain_score=round(prediction.domain_score, 6),
            bundle_id=prediction.bundle_id,
            warnings=list(prediction.warnings),
        )
        answer = Answer(
            predicted_class=target.classes.index(decision.label) if decision.label in target.classes else None,
            class_name=decision.label,
            confidence=round(decision.confidence, 6),
            probabilities=named(prediction.classes, prediction.probabilities),
            insula=extra,
        )
        if uncertainty:
            source = self.bundle.recipe.policy.refer.by
            found = prediction.uncertainty.get(source)
            shown = None if found is None else named(prediction.classes, found.spread)
            extra = extra.model_copy(update={"uncertainty_source": None if found is None else source})
            answer = answer.model_copy(update={"uncertainty": shown, "insula": extra})
        return answer

    def batch_item(self, file: UploadFile, uncertainty: bool) -> BatchItem:
        """One file of a batch: its answer, or the error that it met."""
        name = shown_name(file)
        try:
            answer = self.answer(self.run([file], uncertainty), uncertainty)
        except InsulaError as error:
            return BatchItem(filename=name, error=Fault(**fault(error)))
        return BatchItem(filename=name, **{k: getattr(answer, k) for k in answer.model_fields_set})

    def overlay(self, result: Result) -> Drawn | None:
        """The map that belongs to the answer; None where there is no answer."""
        return draw(result.prediction, result.decision, result.prepared, self.bundle.recipe)

    def _labels(self, prediction: Prediction) -> list[str]:
        target, thresholds = self.bundle.recipe.target, self.bundle.decision.thresholds
        if not prediction.classes:
            return []
        k = target.positive_index
        absent = target.any_of_the_others and float(prediction.probabilities[k]) < thresholds[target.positive]
        if target.kind == "multiclass" or absent:  # a kind without the finding itself would contradict the answer
            return []
        return [
            c for c, p in zip(prediction.classes, prediction.probabilities, strict=True) if float(p) >= thresholds[c]
        ]


def open_model(settings: Settings) -> Model | None:
    """The model that the settings name, or None when they name none."""
    return Model(settings.bundle, settings.threads) if settings.bundle else None


def needed(model: Model | None) -> Model:
    """The model, or RequestError when none is loaded."""
    if model is None:
        raise RequestError(503, "no_model", "No model is loaded; start the service with a bundle (INSULA_BUNDLE).")
    return model
