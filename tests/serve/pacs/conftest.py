"""The fixtures of the API's tests for those of the PACS node."""

from tests.serve.api.conftest import made as made
