"""What a record can say of the model, its training and its software."""

from __future__ import annotations

from insula.report import words
from insula.report.checklist.answer import Answer, bundles, failed, network, recipe_of, training_of, version, versions
from insula.report.record import Record


def technology(r: Record) -> Answer | None:
    """The kind of model, for a title."""
    text = network(r)
    return Answer(f"Deep learning: {text}.", "the title itself") if text else None


def model(r: Record) -> Answer | None:
    """Network, inputs, outputs and thresholds."""
    recipe, held = recipe_of(r), r.get("model")
    if not recipe or not held:
        return None
    inputs = "; ".join(f"{k} ({s['modality']}, one answer per {s['unit']})" for k, s in recipe["inputs"].items())
    return Answer(
        f"{network(r)}. Inputs: {inputs}. Output: a probability for each of {', '.join(r['facts']['classes'])}, after "
        f"{_scaled(held)}. Bundle {held['bundle']}."
    )


def output(r: Record) -> Answer | None:
    """Probabilities, thresholds and how they were found."""
    facts, recipe = r["facts"], recipe_of(r)
    limits = words.flat(facts["thresholds"])
    text = f"Probabilities of {', '.join(facts['classes'])}; thresholds: {limits}."
    if recipe:
        asked = {k: v for k, v in recipe["policy"]["operating_point"].items() if v}
        text += f" Chosen on validation patients by {words.flat(asked)}."
    return Answer(text)


def computed(r: Record) -> Answer | None:
    """By what the predictions were made."""
    held = r.get("model")
    if held:
        return Answer(f"By the bundle {held['bundle']}, through the same code that serves it; Insula {version(r)}.")
    if of := bundles(r):
        return Answer(f"By the bundles {', '.join(of)}, through the same code that serves them; Insula {version(r)}.")
    return Answer("The predictions came as a table, made elsewhere.", "how they were calculated")


def software(r: Record) -> Answer | None:
    """Versions of the evaluation and, where known, of training."""
    text = f"Evaluation: {versions(r['origin'])}."
    held = (r.get("model") or {}).get("origin")
    return Answer(f"{text} Training: {versions(held)}." if held and "insula" in held else text)


def start(r: Record) -> Answer | None:
    """From which weights training began."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    training = training_of(r)
    begun = f" ({words.clause(words.flat(training['start']))})" if training.get("start") else ""
    return Answer(f"Published weights: {words.flat(recipe['model']['pretrained'])}{begun}; seed {recipe['seed']}.")


def training(r: Record) -> Answer | None:
    """The training section of the recipe, and how long it ran."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    told = {k: v for k, v in recipe["train"].items() if v not in (None, [], {}, "", False)}
    ran = {k: v for k, v in training_of(r).items() if k in ("epochs", "train_inputs", "val_inputs")}
    return Answer(f"{words.flat(told)}." + (f" It ran: {words.flat(ran)}." if ran else ""))


def chosen(r: Record) -> Answer | None:
    """By what the final weights were chosen."""
    loss = training_of(r).get("best_val_loss")
    if loss is None:
        return None
    return Answer(f"By the loss on the validation cases (lowest: {words.number(loss)}); the test cases had no part.")


def ensemble(r: Record) -> Answer | None:
    """How many networks answer together."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    members = recipe["model"].get("members", 1)
    return Answer("None: one network." if members == 1 else f"The mean of {members} networks in one bundle.")


def imbalance(r: Record) -> Answer | None:
    """How rare classes were weighted, by the recipe's own words."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    told = {k: v for k, v in recipe["train"].items() if any(w in k for w in ("balance", "weight", "sampl")) and v}
    scaled = f"Probabilities went through {_scaled(r['model'])} afterwards."
    return Answer(f"{words.flat(told)}. {scaled}" if told else f"No setting for it. {scaled}")


def _scaled(held: Record) -> str:
    """What was fitted on validation cases to make probabilities of logits."""
    text = f"temperature {words.number(held['temperature'])}"
    how = held.get("calibration", "temperature")
    return text if how == "temperature" else f"{text} and {how} recalibration"


def availability(r: Record) -> Answer | None:
    """The bundle's id."""
    held = r.get("model")
    if not held:
        return None
    return Answer(f"The model is the bundle {held['bundle']}.", "where it, the code and the data can be had")


def specification(r: Record) -> Answer | None:
    """The bundle holds the whole model."""
    held = r.get("model")
    if not held:
        return None
    return Answer(f"Bundle {held['bundle']}: graphs, weights, thresholds, preparation.", "restrictions to its use")


def poor_input(r: Record) -> Answer | None:
    """The policy for scans unlike the training scans."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    refer = {k: v for k, v in recipe["policy"]["refer"].items() if v}
    return Answer(f"Scans are checked before the model, and referred to a person by {words.flat(refer)}. {failed(r)}")
