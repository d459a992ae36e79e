"""TLS with peers and callers: whose certificates are believed, and which one the node shows."""

from __future__ import annotations

import ssl

from insula.core.errors import UsageError
from insula.serve.pacs.settings import PacsSettings


def client_context(settings: PacsSettings) -> ssl.SSLContext:
    """The context of connections that the node opens: TLS 1.2 or newer, the peer's name checked.

    Certificates are believed that INSULA_PACS_TLS_CA vouches for, else those that this machine believes; the node shows
    its own where it has one. Raises UsageError for files that cannot be read or hold no certificate.
    """
    ca = settings.tls_ca
    try:
        return _with_own(ssl.create_default_context(cafile=None if ca is None else str(ca)), settings)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(error) from error


def server_context(settings: PacsSettings) -> ssl.SSLContext | None:
    """The context of connections that callers open: TLS 1.2 or newer; None without a certificate of the node.

    With INSULA_PACS_TLS_CA callers have to show a certificate that it vouches for. Raises as `client_context`.
    """
    if settings.tls_cert is None:
        return None
    try:
        found = _with_own(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings)
        if settings.tls_ca is not None:
            found.load_verify_locations(str(settings.tls_ca))
            found.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise _unusable(error) from error
    return found


def _with_own(context: ssl.SSLContext, settings: PacsSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_cert is not None and settings.tls_key is not None:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    return context


def _unusable(error: Exception) -> UsageError:
    return UsageError(
        f"A certificate for TLS cannot be used ({getattr(error, 'strerror', None) or error}); see "
        "INSULA_PACS_TLS_CA, INSULA_PACS_TLS_CERT and INSULA_PACS_TLS_KEY, which name PEM files."
    )


def _no_password() -> str:
    """In place of OpenSSL's question on the terminal, which would stop the node."""
    return ""
