"""One loaded model as the service uses it: files in, a prediction through `Predictor`, answers out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import UploadFile

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.core import scratch
from insula.core.errors import InsulaError
from insula.core.recipe_policy import Source
from insula.core.types import Case, Decision, Prediction, Scan, Volume
from insula.infer.blas import one_thread
from insula.infer.decide import decide, withheld
from insula.infer.feed import Views
from insula.infer.predict import Predictor
from insula.infer.providers import RUNTIME
from insula.infer.uncertainty import asked
from insula.infer.writers import named
from insula.scans import sandbox
from insula.scans.limits import Limits
from insula.scans.read import Cut
from insula.serve.answers import INTENDED_USE, Answer, BatchItem, Fault, Insula, ModelInfo
from insula.serve.faults import RequestError, fault
from insula.serve.models import gain
from insula.serve.models.batcher import Batcher
from insula.serve.picture import Drawn, draw
from insula.serve.upload import mend, put_down, roomy, shown_name

LIMITS = Limits(max_bytes=1 << 30, max_voxels=1 << 27, max_files=2000)


@dataclass(frozen=True, eq=False)
class Result:
    """One predicted case as it may be shown, and what it was predicted from.

    views: role → prepared slices (S, C, H, W) of each scan. volumes: role → the scans as they were read.
    """

    prediction: Prediction
    decision: Decision
    views: Views
    volumes: Mapping[str, tuple[Volume, ...]]


class Loaded:
    """One bundle: verified, loaded, warmed, its runs batched where that gains something (`gain`).

    threads: CPU threads of one call, 0 for the runtime's choice. budget: seconds that a case may wait for company.
    """

    def __init__(self, bundle: Bundle | Path, threads: int = 0, budget: float = 0.0) -> None:
        one_thread()
        pool = sandbox.shared().start()  # uploads are decoded in processes of their own, which wake up meanwhile
        self.bundle = load(bundle) if isinstance(bundle, Path) else bundle
        self.predictor = Predictor(self.bundle, threads or None, _read, spins=False)
        self.predictor.engine.warm()
        self.gain = gain.measured(self.predictor.engine)
        on_cpu = self.predictor.engine.provider == RUNTIME["cpu"]
        self.batcher = Batcher(self.predictor.engine, self.gain.most, budget, lanes=2 if on_cpu else 1)
        self.predictor.engine = self.batcher
        pool.start(pool.workers)

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

    def study(
        self,
        files: Mapping[str, Sequence[Path]],
        key: str,
        attributes: Mapping[str, str] | None = None,
        ask: Collection[Source] = (),
    ) -> Result:
        """Predict one case from the files of its scans, by role; a further scan of a role is `role.2` and so on.

        attributes: what is known of the patient by the names of the recipe's clinical columns, above what the headers
        say. ask: sources of uncertainty beside those that the policy decides by, which are always drawn: the decision
        is the evaluated one. Raises RequestError for a role that the model does not take, and the InsulaError of a scan
        that cannot be read or is none for this model, without our folders in its message.
        """
        case = Case(key, "", {scan: Scan(tuple(map(str, paths)), "") for scan, paths in files.items()}, {})
        self._check_roles(case)
        try:
            with self.batcher.on_its_way():
                volumes = self.predictor.read(case, Path("/"))
                views, cautions = self.predictor.prepared_of(volumes)
        except InsulaError as error:
            for folder in {path.parent for paths in files.values() for path in paths}:
                mend(error, folder)
            raise
        known: dict[str, str] = {}
        for volume in (one for several in volumes.values() for one in several):
            known = {**volume.attributes, **known}
        sources = asked(self.bundle, ask)
        prediction = self.predictor.from_slices(views, key, 0, cautions, {**known, **(attributes or {})}, sources)
        decision = decide(prediction, self.bundle)
        return Result(withheld(prediction, decision), decision, views, volumes)

    def run(self, files: Sequence[UploadFile], uncertainty: bool) -> Result:
        """Predict one scan of the first role from its uploaded files. Raises InsulaError without our paths in it."""
        with scratch.folder(roomy(files)) as folder:
            try:
                paths = put_down(files, folder)
            except InsulaError as error:
                raise mend(error, folder) from error
            ask = (self.bundle.recipe.policy.refer.by,) if uncertainty else ()
            return self.study({self.bundle.recipe.role: paths}, "upload", None, ask)

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
        """The map that belongs to the answer; None where there is no answer, or no scan of the first role."""
        recipe = self.bundle.recipe
        bags = result.views.get(recipe.role)
        return draw(result.prediction, result.decision, bags[0], recipe) if bags else None

    def _check_roles(self, case: Case) -> None:
        inputs = self.bundle.recipe.inputs
        taken = ", ".join(inputs)
        for scan in case.scans:
            if scan.partition(".")[0] not in inputs:
                raise RequestError(
                    422, "unknown_role", f"The study has a scan '{scan[:40]}', and the model takes {taken}."
                )
        if not case.scans or sum(len(case.scans_of(role)) for role in inputs) != len(case.scans):
            raise RequestError(
                422,
                "no_scan",
                f"The scans are named {sorted(case.scans)[:8]}, and the model takes {taken}, each at least once in a "
                "study and counted without a gap ('ct', 'ct.2', 'ct.3'); give at least one.",
            )

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


def _read(paths: Sequence[Path], allowed: Limits = LIMITS, tiles: Cut = None) -> Volume:
    """One scan, decoded in a process of its own, within the service's limits."""
    return sandbox.read_files(paths, allowed, tiles)
