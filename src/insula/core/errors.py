"""The one tree of errors, each with its own exit code.

A message is one sentence or two: the value that was met, the rule it breaks, and the next step. It holds no patient
identifiers beyond the file name that the user gave.
"""

from __future__ import annotations

from typing import ClassVar, Final

PAGE: Final = "errors"  # of the documents; docs/errors.md has a heading for each code


def see_of(code: str) -> str:
    """Where the documents say more of an error by its code: `errors#cohort`."""
    return f"{PAGE}#{code}"


class InsulaError(Exception):
    """Anything that a user can mend: shown as one sentence, never as a stack trace."""

    exit_code: ClassVar[int] = 10
    code: ClassVar[str] = "error"

    @property
    def see(self) -> str:
        """Where the documents say more of it: a page and an anchor in it, as `insula docs` takes them."""
        return see_of(type(self).code)


class UsageError(InsulaError):
    """A command, option or address that cannot be followed."""

    exit_code = 11
    code = "usage"


class ScanError(InsulaError):
    """A file that is no readable scan: missing, empty, damaged, of an unknown kind."""

    exit_code = 12
    code = "unreadable_scan"


class LimitError(ScanError):
    """A file that asks for more memory, depth or time than it may have."""

    exit_code = 13
    code = "limit_exceeded"


class UnsuitableScanError(InsulaError):
    """A readable scan that the recipe does not take (another modality, another unit, no HU)."""

    exit_code = 14
    code = "unsuitable_scan"


class CohortError(InsulaError):
    """A folder or table that does not make a cohort (no cases, label clash, missing patient ids)."""

    exit_code = 15
    code = "cohort"


class SplitError(CohortError):
    """A split that cannot be made or would leak."""

    exit_code = 16
    code = "split"


class RecipeError(InsulaError):
    """A recipe with an unknown key, a value out of range, or parts that do not fit together."""

    exit_code = 17
    code = "recipe"


class BundleError(InsulaError):
    """A bundle that is incomplete, changed, or made by an incompatible version."""

    exit_code = 18
    code = "bundle"


class TrainingError(InsulaError):
    """A training run that cannot start or go on."""

    exit_code = 19
    code = "training"


class ExportError(InsulaError):
    """An exported network that does not equal the trained one, or cannot be written."""

    exit_code = 20
    code = "export"


class EvaluationError(InsulaError):
    """Predictions and labels that cannot be evaluated together."""

    exit_code = 21
    code = "evaluation"


class MissingPartError(InsulaError):
    """A part of Insula that is not installed here."""

    exit_code = 22
    code = "missing_part"


class TrailError(InsulaError):
    """An entry of the audit trail that cannot be written, or a trail that cannot be vouched for."""

    exit_code = 23
    code = "trail"
