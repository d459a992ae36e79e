"""What can be wrong with the records and the files themselves: for the one who runs the service, not for a sender."""

from __future__ import annotations

from insula.core.errors import InsulaError


class RecordsError(InsulaError):
    """Records that cannot be used as they are: of a newer program, not made by migrations, held too long."""

    exit_code = 24
    code = "records"


class MissingFileError(RecordsError):
    """A file that the records name and the file store does not have."""

    code = "missing_file"


class ChangedFileError(RecordsError):
    """A file whose bytes are not those that were stored."""

    code = "changed_file"
