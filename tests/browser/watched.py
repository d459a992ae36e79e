"""What a browser did while a test ran: what went wrong in its pages, what the policy stopped, whom it asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

_TOLD = """
document.addEventListener('securitypolicyviolation', (e) =>
  window.tellPolicy(`${e.effectiveDirective} stopped ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
"""
_BROKEN_OFF = "net::ERR_ABORTED"  # a page that is left ends its own requests; so does a download
_BY_ITSELF = "/favicon.ico"  # asked for beside documents that are no pages of ours


@dataclass
class Watch:
    """What was seen of the contexts that are watched. allowed: parts of messages that a test brings about."""

    host: str
    problems: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    allowed: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch all pages of a context from now on."""
        context.expose_binding("tellPolicy", lambda _, said: self.violations.append(str(said)))
        context.add_init_script(_TOLD)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("requestfailed", self._failed)
        context.on("request", self._request)

    def allow(self, *parts: str) -> None:
        """Take messages with these words for what the test wanted."""
        self.allowed += parts

    def check(self) -> None:
        """Nothing went wrong, nothing was stopped, nobody else was asked."""
        unexpected = [one for one in self.problems if not any(part in one for part in self.allowed)]
        assert not unexpected, unexpected
        assert not self.violations, self.violations
        assert self.hosts <= {self.host}, self.hosts - {self.host}

    def _console(self, message: ConsoleMessage) -> None:
        at = message.location.get("url", "")
        if message.type in ("error", "warning") and not at.endswith(_BY_ITSELF):
            self.problems.append(f"console {message.type}: {message.text} ({at})")

    def _error(self, error: WebError) -> None:
        self.problems.append(f"page error: {error.error}")

    def _failed(self, request: Request) -> None:
        if request.failure != _BROKEN_OFF:
            self.problems.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss"):
            self.hosts.add(parts.netloc)
