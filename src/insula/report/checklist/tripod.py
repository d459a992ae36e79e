"""TRIPOD+AI: item → what the record says.

Source: Collins et al., BMJ 385:e078378, 2024 (27 items, 52 with their parts). Numbers are theirs, titles in our words.
"""

from __future__ import annotations

from insula.report.checklist import data, model, results
from insula.report.checklist.item import Checklist, Item, author

TRIPOD = Checklist(
    "TRIPOD+AI",
    "Collins et al., BMJ 385:e078378, 2024",
    (
        Item("1", "Title", "Development or evaluation, population, outcome", data.goal),
        Item("2", "Abstract", "The checklist for abstracts", results.summary),
        Item("3a", "Introduction", "Context and rationale, existing models", data.purpose),
        Item("3b", "Introduction", "Population, purpose, users", author),
        Item("3c", "Introduction", "Known health inequalities", author),
        Item("4", "Introduction", "Objectives", data.objective),
        Item("5a", "Data", "Sources, their rationale and representativeness", data.sources),
        Item("5b", "Data", "Dates", author),
        Item("6a", "Participants", "Setting and centres", data.centres),
        Item("6b", "Participants", "Eligibility", data.eligibility),
        Item("6c", "Participants", "Treatments", author),
        Item("7", "Data preparation", "Preprocessing and quality checks", data.preparation),
        Item("8a", "Outcome", "Definition and time horizon", data.outcome),
        Item("8b", "Outcome", "Who assessed it", author),
        Item("8c", "Outcome", "Blinding of its assessment", author),
        Item("9a", "Predictors", "Choice of predictors", data.modality),
        Item("9b", "Predictors", "Definition and measurement of predictors", data.preparation),
        Item("9c", "Predictors", "Who assessed them", author),
        Item("10", "Sample size", "How it was arrived at", data.size),
        Item("11", "Missing data", "How they were handled", data.missing),
        Item("12a", "Analysis", "How data were used and partitioned", data.partitions),
        Item("12b", "Analysis", "How predictors were handled", data.preparation),
        Item("12c", "Analysis", "Model, building steps, internal validation", model.training),
        Item("12d", "Analysis", "Heterogeneity across clusters", author),
        Item("12e", "Analysis", "Measures and plots of performance", results.metrics),
        Item("12f", "Analysis", "Updating from the evaluation", results.updating),
        Item("12g", "Analysis", "How predictions were calculated", model.computed),
        Item("13", "Class imbalance", "What was done, and recalibration after it", model.imbalance),
        Item("14", "Fairness", "Approaches and their rationale", author),
        Item("15", "Model output", "Output, thresholds and how they were found", model.output),
        Item("16", "Training versus evaluation", "Differences of the two data sets", data.differences),
        Item("17", "Ethical approval", "Committee and consent", author),
        Item("18a", "Open science", "Funding", author),
        Item("18b", "Open science", "Conflicts of interest", author),
        Item("18c", "Open science", "Protocol", results.protocol),
        Item("18d", "Open science", "Registration", author),
        Item("18e", "Open science", "Data sharing", author),
        Item("18f", "Open science", "Code sharing", author),
        Item("19", "Patients and public", "Their involvement", author),
        Item("20a", "Results: participants", "Flow, with and without the outcome", results.flow),
        Item("20b", "Results: participants", "Characteristics", author),
        Item("20c", "Results: participants", "Comparison with the development data", data.differences),
        Item("21", "Results: development", "Participants and events in each analysis", data.events),
        Item("22", "Results: specification", "The full model", model.specification),
        Item("23a", "Results: performance", "Performance with intervals, by subgroup", results.performance),
        Item("23b", "Results: performance", "Heterogeneity across clusters", author),
        Item("24", "Results: updating", "Results of updating", results.updating),
        Item("25", "Discussion", "Interpretation and fairness", author),
        Item("26", "Discussion", "Limitations", results.limits),
        Item("27a", "Usability", "Poor or absent input", model.poor_input),
        Item("27b", "Usability", "Interaction and expertise of users", author),
        Item("27c", "Usability", "Next steps", author),
    ),
)
