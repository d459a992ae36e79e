"""The Checklist for Artificial Intelligence in Medical Imaging (CLAIM), 2024 update: item → what the record says.

Source: Tejani et al., Radiology: Artificial Intelligence 6:e240300, 2024. Numbers are theirs, titles are in our words.
"""

from __future__ import annotations

from insula.report.checklist import data, model, results
from insula.report.checklist.item import Checklist, Item, author

CLAIM = Checklist(
    "CLAIM 2024",
    "Tejani et al., Radiology: Artificial Intelligence 6:e240300, 2024",
    (
        Item("1", "Title and abstract", "Named as an AI study, with the kind of technology", model.technology),
        Item("2", "Title and abstract", "Abstract: design, methods, results, conclusions", results.summary),
        Item("3", "Introduction", "Background, intended use and role", data.purpose),
        Item("4", "Introduction", "Aims and hypotheses", data.objective),
        Item("5", "Study design", "Prospective or retrospective", author),
        Item("6", "Study design", "Goal of the study", data.goal),
        Item("7", "Data", "Where the data come from", data.sources),
        Item("8", "Data", "Who was included and excluded", data.eligibility),
        Item("9", "Data", "Preprocessing", data.preparation),
        Item("10", "Data", "Choice of subsets (regions, slices)", author),
        Item("11", "Data", "De-identification", author),
        Item("12", "Data", "Missing data", data.missing),
        Item("13", "Data", "Image acquisition", data.modality),
        Item("14", "Reference standard", "How it was obtained", data.outcome),
        Item("15", "Reference standard", "Why it was chosen", author),
        Item("16", "Reference standard", "Who annotated", author),
        Item("17", "Reference standard", "How the test set was annotated", author),
        Item("18", "Reference standard", "Variability between and within annotators", data.variability),
        Item("19", "Partitions", "How data were assigned", data.partitions),
        Item("20", "Partitions", "At which level they are disjoint", data.disjoint),
        Item("21", "Testing data", "Intended sample size", data.size),
        Item("22", "Model", "Detailed description", model.model),
        Item("23", "Model", "Software and versions", model.software),
        Item("24", "Model", "Initial weights", model.start),
        Item("25", "Training", "How it was trained", model.training),
        Item("26", "Training", "How the final model was chosen", model.chosen),
        Item("27", "Training", "Ensembling", model.ensemble),
        Item("28", "Evaluation", "Metrics", results.metrics),
        Item("29", "Evaluation", "Significance and uncertainty", results.statistics),
        Item("30", "Evaluation", "Robustness and sensitivity analysis", results.robustness),
        Item("31", "Evaluation", "Methods for explainability", results.explained),
        Item("32", "Evaluation", "Evaluation on internal data", results.internal),
        Item("33", "Evaluation", "Testing on external data", results.external),
        Item("34", "Evaluation", "Trial registration", author),
        Item("35", "Results: data", "Numbers included and excluded", results.flow),
        Item("36", "Results: data", "Characteristics of the cases in each partition", author),
        Item("37", "Results: performance", "Performance with its uncertainty", results.performance),
        Item("38", "Results: performance", "Diagnostic performance and its precision", results.diagnostic),
        Item("39", "Results: performance", "Analysis of the failures", results.failures),
        Item("40", "Discussion", "Limitations", results.limits),
        Item("41", "Discussion", "Implications for practice", results.implications),
        Item("42", "Other information", "Full protocol or further technical details", results.protocol),
        Item("43", "Other information", "Availability of software, model, data", model.availability),
        Item("44", "Other information", "Funding and the funders' role", author),
    ),
)
