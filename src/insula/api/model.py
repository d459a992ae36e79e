"""A trained model, opened: what the verbs predict, explain, evaluate, audit and export do with a bundle."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from insula.api.given import AnyScan, Known, case_name, known_of, scans_of
from insula.api.result import Result
from insula.bundle.load import load as open_bundle
from insula.bundle.types import Bundle
from insula.core.errors import UsageError
from insula.core.parts import need
from insula.core.recipe import Recipe
from insula.core.recipe_policy import Source
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.infer.read_case import ReadCase, read_case
from insula.infer.uncertainty import SOURCES, asked
from insula.scans.sandbox import shared

if TYPE_CHECKING:
    from insula.api.explanation import Explanation
    from insula.audit.outcome import AuditReport
    from insula.core.types import Case, Cohort
    from insula.evaluate.outcome import EvaluationReport
    from insula.infer.batch_record import Counts

Uncertain: TypeAlias = Literal["policy", "dropout", "views", "members", "all"]


def load(bundle: str | Path, *, threads: int | None = None) -> Model:
    """Verify and open a bundle's folder, ready for scans.

    threads: CPU threads of one prediction; ONNX Runtime's choice when None. Raises BundleError for a folder that is no
    bundle, or of which a byte was changed.
    """
    pool = shared().start()  # wakes up while the bundle is loaded
    return Model(Predictor(open_bundle(Path(bundle)), threads, pool.read_files))


@dataclass(frozen=True, eq=False)
class Model:
    """A bundle with its engine; safe to use from several threads. `predictor` is what everything goes through."""

    predictor: Predictor

    @property
    def bundle(self) -> Bundle:
        """Everything that the bundle holds but its graphs and weights."""
        return self.predictor.bundle

    @property
    def id(self) -> str:
        """The bundle's id: the start of its manifest's SHA-256."""
        return self.bundle.id

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by, every default written out."""
        return self.bundle.recipe

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the first question."""
        return self.recipe.target.classes

    def predict(
        self,
        scan: AnyScan,
        *,
        known: Known | None = None,
        uncertainty: Uncertain | None = None,
        passes: int = 0,
        series: str | None = None,
    ) -> Result:
        """Predict one case.

        scan: a path, a `Volume`, or for a model of several inputs role → path (or a list of paths); a role that is left
        out is missing. known: its clinical columns. uncertainty: which draws are added, `policy` for those that the
        policy refers by (these are drawn in any case where it limits them). passes: dropout passes in place of the
        recipe's number. series: as in `read`. Raises ScanError, LimitError and UnsuitableScanError; a scan that is too
        far from the training data raises nothing, and its `action` is `reject`.
        """
        scans = scans_of(scan, self.recipe)
        read = read_case(scans, self.predictor, shared(), series)
        return self.of_read(read, case_name(scans[0][1]), known, self._asked(uncertainty), passes)

    def predict_case(
        self, case: Case, cohort: Cohort, *, uncertainty: Uncertain | None = None, passes: int = 0
    ) -> Result:
        """Predict a case of a cohort with all its scans and columns, as an evaluation does. Raises as `predict`."""
        found = self.predictor.case(case, Path(cohort.root), passes, self._asked(uncertainty))
        return Result(found, decide(found, self.bundle))

    def predict_all(
        self,
        archive: str | Path | Cohort,
        out: str | Path,
        *,
        uncertainty: Uncertain | None = None,
        passes: int = 0,
        readers: int | None = None,
    ) -> Counts:
        """Predict every case below a folder, or of a cohort or its table, into a table; a failure is a row too.

        out: .parquet or .csv, a new file. readers: cases that are read at once, one for each CPU when None. A call that
        was stopped goes on when it is made again. Returns how many were accepted, referred, rejected and failed.
        """
        from insula.api.cohort import opened
        from insula.core.types import Cohort
        from insula.infer import batch_items
        from insula.infer.batch import batch
        from insula.scans.sandbox import Sandbox

        table = not isinstance(archive, Cohort) and Path(archive).suffix in (".parquet", ".csv")
        given = opened(archive) if table else archive
        if isinstance(given, Cohort):
            root, items = Path(given.root), batch_items.of_cohort(given, self.recipe)
        else:
            root = Path(given)
            items = batch_items.of_folder(root, self.recipe)
        count, ask = readers or os.cpu_count() or 1, self._asked(uncertainty)
        with Sandbox(count).start(count) as pool:
            own = copy(self.predictor)  # the same engine, with as many reading processes as are asked for
            own.reader = pool.read_files
            return batch(own, items, root, Path(out), ask=ask, passes=passes, readers=count)

    def explain(
        self,
        scan: AnyScan,
        out: str | Path | None = None,
        *,
        method: str = "class_map",
        class_name: str | None = None,
        target: str | None = None,
        known: Known | None = None,
        series: str | None = None,
        top: int = 3,
        slices: Sequence[int] | None = None,
        window: tuple[float, float] | None = None,
        size: int = 384,
    ) -> Explanation:
        """Where in a scan the score of a class comes from, by one method.

        out: the folder for pictures and heat maps; without it nothing is drawn. method: class_map and occlusion need
        the bundle alone; grad_cam_pp, integrated_gradients, guided_backprop and attention_rollout need PyTorch.
        class_name: the decided class when None; target: the first question when None. top: how many slices are drawn,
        those with most heat; slices: these instead, from 0. window: centre and width (HU for CT). size: pixels of a
        picture's side at least. Raises as `predict`, UsageError for a class, target or method that does not exist,
        MissingPartError where a method lacks its part.
        """
        from insula.api.explained import explained
        from insula.infer.explained_files import Drawing
        from insula.infer.overlay import Style

        scans = scans_of(scan, self.recipe)
        read = read_case(scans, self.predictor, shared(), series)
        result = self.of_read(read, case_name(scans[0][1]), known, self._asked(None), 0)
        chosen = dict.fromkeys(read.volumes, tuple(slices)) if slices is not None else {}
        drawing = Drawing(Style(least=size), window, top=top, slices=chosen)
        attributes = {**read.headers, **known_of(known, self.recipe)}
        folder = None if out is None else Path(out)
        return explained(self.predictor, read, result, attributes, method, (class_name, target), drawing, folder)

    def evaluate(
        self,
        cohort: str | Path | Cohort,
        out: str | Path | None = None,
        *,
        split: str = "test",
        thresholds: Mapping[str, float] | None = None,
        baselines: bool = True,
        without: Collection[str] = (),
        gallery: int = 3,
    ) -> EvaluationReport:
        """Judge the model on the labelled cases of a cohort's split ("all" for the whole cohort), with intervals.

        out: the folder for report.html and the rest. baselines: fit models that see no disease on the training cases.
        without: columns that these must not see. gallery: cases of each outcome on the page. Each look is counted
        beside the cohort's table where it has one, and in the user's register, as on the command line. Raises
        EvaluationError where there is nothing to judge.
        """
        need("evaluate", "Evaluating")
        from insula.api.judged import evaluate

        folder = None if out is None else Path(out)
        return evaluate(self.predictor, cohort, folder, split, dict(thresholds or {}), baselines, without, gallery)

    def audit(
        self,
        cohort: str | Path | Cohort,
        out: str | Path,
        *,
        split: str = "test",
        checks: Sequence[str] = (),
        without: Collection[str] = (),
        seed: int = 0,
        replicates: int | None = None,
        sanity: bool | None = None,
    ) -> AuditReport:
        """Ask whether the model is right for the wrong reasons; audit.html and the rest stand in `out`.

        checks: by name, all where none is named. sanity: hold heat against networks with weights drawn anew; where
        PyTorch is there when None. A call that was stopped goes on when it is made again. The verdict is that of
        `report.verdict`: nothing is raised where a finding fails.
        """
        need("evaluate", "Auditing")
        if sanity:
            need("train", "Drawing weights anew")
        from insula.api.judged import audit

        return audit(self.predictor, cohort, Path(out), split, checks, without, seed, replicates, sanity)

    def export(self, form: str, out: str | Path) -> tuple[Path, ...]:
        """Write it for use elsewhere, as onnx, safetensors (needs PyTorch) or monai, to a new folder; the files."""
        if form == "safetensors":
            need("train", "Writing weights for PyTorch")
        from insula.export.forms import write

        return tuple(Path(out) / name for name in write(self.bundle, form, Path(out)))

    def of_read(
        self, read: ReadCase, name: str, known: Known | None, ask: Collection[Source] = (), passes: int = 0
    ) -> Result:
        """The result of a case that was read and prepared already."""
        attributes = {**read.headers, **known_of(known, self.recipe)}
        prediction = self.predictor.from_slices(read.views, name, passes, read.cautions, attributes, ask)
        return Result(prediction, decide(prediction, self.bundle))

    def _asked(self, uncertainty: Uncertain | None) -> tuple[Source, ...]:
        if uncertainty is None:
            return asked(self.bundle, ())
        if uncertainty not in ("policy", "all", *SOURCES):
            raise UsageError(f"'{uncertainty}' is no source of uncertainty; give policy, all, {', '.join(SOURCES)}.")
        wanted = self.recipe.policy.refer.by if uncertainty == "policy" else uncertainty
        return asked(self.bundle, tuple(source for source in SOURCES if wanted in (source, "all")))

    def __repr__(self) -> str:
        return f"Model({self.recipe.name}, {self.id}, {'|'.join(self.classes)})"
