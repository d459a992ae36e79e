"""The page of a store of embeddings: maps to move about in, figures, outliers. One file, nothing from outside."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from insula import __version__
from insula.core import cells, templates
from insula.core.style import sheet
from insula.evaluate import feature_groups, feature_maps
from insula.evaluate.features import CLASSES, Features
from insula.evaluate.linear_probe import Probed
from insula.evaluate.outcome import LIMITS
from insula.evaluate.separability import NEIGHBOURS, Separated
from insula.infer.colours import paint
from insula.infer.feature_store import ATTRIBUTE, LABEL
from insula.metrics.intervals import Figure

LISTED = 24
_VALUES = 8  # colours and shapes that can be told apart
_MOST_VALUES = 60  # beyond which a column is an identifier
_FAILURES = 50
_TITLES = {
    "label": "class",
    "predicted": "predicted class",
    "right": "right or wrong",
    "split": "split",
    "seen": "seen in training",
    "action": "what the policy does",
}
_SAID = {
    "predicted": {"": "rejected"},
    "right": {"yes": "right", "no": "wrong"},
    "seen": {"yes": "seen in training", "no": "not seen"},
    "action": {"accept": "accepted", "refer": "referred", "reject": "rejected"},
}


def render(found: Features, pictures: int = 3000) -> str:
    """The page as text. pictures: how many thumbnails it holds at most."""
    store, data = found.store, _data(found, pictures)
    css, script = part("features.css"), part("features.js")
    css = f"{sheet()}\n{css}"
    page = templates.environment("insula.report").get_template("features.html")
    return page.render(
        css=css,
        script=script,
        policy=policy(css, script),
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        facts=store.facts,
        found=found,
        kept=int(sum(bool(one) for one in data["pictures"])),
        planes=[(p, feature_maps.TITLES[p.name]) for p in found.planes],
        missing=found.missing,
        rows=[(one, _title(one), _row(one)) for one in found.separated],
        findings=list(zip(found.findings, found.warn, strict=True)),
        outliers=_outliers(found),
        failures=store.failures[:_FAILURES],
        failures_left=max(0, len(store.failures) - _FAILURES),
        fewest=feature_groups.FEWEST,
        neighbours=NEIGHBOURS,
        version=__version__,
        limits=LIMITS,
    )


def policy(css: str, script: str) -> str:
    """A content security policy that lets this style sheet, this script and pictures inside the page do their work."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def summary(found: Features) -> str:
    """The findings as lines for the terminal."""
    lines = [f"{len(found.rows):,} of {len(found.store):,} cases on the maps; figures rest on {found.judged:,}."]
    lines += [found.said] if found.said else []
    lines += found.findings or (f"No figures for the class: {found.why.get(CLASSES, 'no labels')}.",)
    failed = len(found.store.failures)
    lines += [f"{failed:,} case{'s' if failed > 1 else ''} failed; see failures.csv."] if failed else []
    lines += list(found.missing.values())
    return "\n".join(lines)


def table(found: Features) -> str:
    """Each shown case with its places on the maps and its distances, as CSV."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    places = [f"{p.name}_{axis}" for p in found.planes for axis in (1, 2)]
    writer.writerow(["case", "patient", *places, "neighbour_distance", "mahalanobis"])
    far = found.outlying
    for i, row in enumerate(found.rows.tolist()):
        values = [f"{v:.6g}" for p in found.planes for v in p.places[i]]
        last = [f"{v:.6g}" if np.isfinite(v) else "" for v in (far.neighbours[i], far.mahalanobis[i])]
        names = (found.store.index["case"][row], found.store.index["patient"][row])
        writer.writerow(cells.row((*names, *values, *last)))
    return out.getvalue()


def picture_rows(found: Features, most: int) -> list[int]:
    """Places among the shown rows whose thumbnails go into the page: outliers, wrong answers, then evenly."""
    index, rows = found.store.index, found.rows.tolist()
    if len(rows) <= most:
        return list(range(len(rows)))
    first = found.outlying.order[:LISTED].tolist()
    wrong = [i for i, row in enumerate(rows) if index["right"][row] == "no"]
    rest = np.random.default_rng(found.asked.seed).permutation(len(rows)).tolist()
    return list(dict.fromkeys([*first, *wrong, *rest]))[:most]


def _data(found: Features, pictures: int) -> dict[str, Any]:
    store, rows = found.store, found.rows.tolist()
    coded = [""] * len(rows)
    for i in picture_rows(found, pictures):
        coded[i] = base64.b64encode(store.thumbnail(rows[i])).decode()
    index = store.index
    return {
        "cases": [index["case"][i] for i in rows],
        "patients": [index["patient"][i] for i in rows],
        "classes": list(store.classes),
        "p": [_probabilities([index[f"p_{name}"][i] for name in store.classes]) for i in rows],
        "shown": [_shown(index["shown_scan"][i], index["shown_slice"][i], index["shown_by"][i]) for i in rows],
        "pictures": coded,
        "columns": _columns(found),
        "maps": [_plane(p) for p in found.planes],
        "ramp": _ramp(),
    }


def _probabilities(texts: Sequence[str]) -> list[float] | None:
    """Of each class; None for a case that the policy rejects."""
    return [float(text) for text in texts] if all(texts) else None


def _plane(plane: feature_maps.Plane) -> dict[str, Any]:
    size = float(np.abs(plane.places).max(initial=0.0)) or 1.0
    x, y = np.round(plane.places / size, 5).T
    return {"title": feature_maps.TITLES[plane.name], "axes": list(plane.axes), "x": x.tolist(), "y": y.tolist()}


def _ramp() -> list[str]:
    colours = paint(np.linspace(0, 1, 24, dtype=np.float32), "viridis").round().astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours.tolist()]


def _columns(found: Features) -> list[dict[str, Any]]:
    store, rows = found.store, found.rows.tolist()
    made: list[dict[str, Any]] = []
    whole = feature_groups.of_label(store)
    predicted = (*store.classes, *whole.values)
    order = {"label": store.classes, "predicted": predicted, "right": ("right", "wrong")}
    if store.facts["kind"] == "multilabel":  # whether the primary label is there, and then all that are
        texts = [whole.values[code] if code >= 0 else "" for code in whole.codes[found.rows].tolist()]
        made.append(_category(_TITLES["label"], texts, whole.values))
    for name, said in _TITLES.items():
        title = "labels" if name == "label" and made else said
        texts = [store.index[name][i].replace(";", ", ") for i in rows]
        texts = [_SAID.get(name, {}).get(text, text) for text in texts]
        if name in ("label", "predicted") or len(set(texts)) > 1:
            made.append(_category(title, texts, order.get(name, ())))
    made += [_number(f"probability of {c}", store.numbers(f"p_{c}")[found.rows], unit=True) for c in store.classes]
    for name, title in (("distance", "distance from training"), ("domain_score", "distance from training, as a rank")):
        made.append(_number(title, store.numbers(name)[found.rows]))
    made.append(_number(f"distance to {NEIGHBOURS} nearest cases", found.outlying.neighbours))
    made.append(_number("Mahalanobis' distance", found.outlying.mahalanobis))
    for column in store.attributes:
        title = column.removeprefix(ATTRIBUTE).removeprefix(LABEL).replace("_", " ")
        made.append(_attribute(title, [store.index[column][i] for i in rows]))
    return [one for one in made if one]


def _attribute(title: str, texts: Sequence[str]) -> dict[str, Any]:
    different = {text for text in texts if text}
    values = np.array([feature_groups.number(text) for text in texts])
    if len(different) > _VALUES and np.isfinite(values).sum() >= 0.8 * sum(bool(t) for t in texts):
        return _number(title, values)
    # an identifier tells nobody apart: it stands on the card alone
    return _category(title, texts, (), colour=1 < len(different) <= _MOST_VALUES)


def _category(title: str, texts: Sequence[str], order: Sequence[str], colour: bool = True) -> dict[str, Any]:
    """Codes into values, the frequent ones first where no order is given; colours: how many have one of their own."""
    counted = Counter(texts)
    named = [value for value in order if value in counted]
    named += sorted((v for v in counted if v not in named), key=lambda v: (v == "", -counted[v], v))
    if not any(named):
        return {}
    place = {value: k for k, value in enumerate(named)}
    return {
        "title": title,
        "values": [value or "not known" for value in named],
        "codes": [place[text] for text in texts],
        "own": len(named) if len(named) <= _VALUES else _VALUES - 1,
        "colour": colour,
    }


def _number(title: str, values: Any, unit: bool = False) -> dict[str, Any]:
    known = np.isfinite(values)
    if not known.any():
        return {}
    ends = (0.0, 1.0) if unit else (float(values[known].min()), float(values[known].max()))
    numbers = [float(f"{v:.4g}") if ok else None for v, ok in zip(values.tolist(), known.tolist(), strict=True)]
    return {"title": title, "numbers": numbers, "ends": [float(f"{e:.4g}") for e in ends], "colour": ends[0] < ends[1]}


def _shown(scan: str, number: str, by: str) -> str:
    why = {"weight": "most weight", "heat": "most heat", "middle": "the middle one"}.get(by, by)
    return f"{scan}, slice {int(number) + 1}: {why}"


def breakable(name: str) -> Markup:
    """A case's key that a line may end in after each slash."""
    parts = name.split("/")
    return Markup("").join(
        Markup('<span class="part">{}</span>').format(part + "/" * (i < len(parts) - 1)) for i, part in enumerate(parts)
    )


def _title(one: Separated) -> str:
    return "Class" if one.name == CLASSES else one.name.replace("_", " ")


def _row(one: Separated) -> dict[str, Any]:
    return {
        "groups": ", ".join(f"{name}: {count:,}" for name, count in one.values.items()),
        "neighbours": _figure(one.neighbours),
        "most": f"{one.most:.2f}",
        "probe": _probed(one.probe),
        "within": ("–", "") if one.within is None else _probed(one.within),
        "silhouette": _number_said(one.silhouette.value, 3),
        "silhouette_p": _p(one.silhouette.p_value),
        "davies_bouldin": _number_said(one.davies_bouldin.value, 2),
        "davies_bouldin_p": _p(one.davies_bouldin.p_value),
    }


def _figure(figure: Figure) -> tuple[str, str]:
    """The value, and its interval or why there is none."""
    if not np.isfinite(figure.value):
        return "–", figure.reason
    ends = figure.interval
    return f"{figure.value:.2f}", f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else f"no interval: {figure.reason}"


def _probed(found: Probed) -> tuple[str, str]:
    value, ends = _figure(found.auc)
    return value, f"{ends}; {_p(found.p_value)}" if np.isfinite(found.p_value) else ends


def _number_said(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else "–"


def _p(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return f"p\u00a0{max(value, 0.001):.3f}"


def _outliers(found: Features) -> list[dict[str, Any]]:
    index, far = found.store.index, found.outlying
    made = []
    for i in far.order[:LISTED].tolist():
        row = int(found.rows[i])
        made.append(
            {
                "case": index["case"][row],
                "name": breakable(index["case"][row]),
                "label": index["label"][row].replace(";", ", ") or "no label",
                "predicted": index["predicted"][row] or "rejected",
                "wrong": index["right"][row] == "no",
                "near": f"{far.neighbours[i]:.2f}" if np.isfinite(far.neighbours[i]) else "–",
                "near_rank": _rank(far.neighbours, i),
                "far": f"{far.mahalanobis[i]:.1f}",
                "far_rank": _rank(far.mahalanobis, i),
                "png": base64.b64encode(found.store.thumbnail(row)).decode(),
                "point": i,
            }
        )
    return made


def _rank(values: Any, i: int) -> str:
    known = values[np.isfinite(values)]
    above = int((known > values[i]).sum()) + 1 if np.isfinite(values[i]) else 0
    return f"{above:,}" if above else "not known"


def part(name: str) -> str:
    """The text of a file beside the templates."""
    return files("insula.report").joinpath("templates", name).read_text(encoding="utf-8")
