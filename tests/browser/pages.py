"""Every page, as whom it is looked at, and where it lies: for the checks that hold for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NOBODY = ""


@dataclass(frozen=True)
class Look:
    """One page. route: as the service names it, `{…}` for what is filled in. role: who sees it, NOBODY for anybody."""

    name: str
    route: str
    role: str = "reviewer"
    case: str = ""
    query: str = ""
    status: int = 200

    def address(self, places: Mapping[str, str], studies: Mapping[str, str]) -> str:
        """The address of the page, where what fills it and the study of each case are known."""
        known = {**places, "study_id": studies.get(self.case, "")}
        return re.sub(r"\{(\w+)(:path)?\}", lambda found: known[found[1]], self.route + self.query)


PAGES: tuple[Look, ...] = (
    Look("log-in", "/login", NOBODY),
    Look("about", "/about", NOBODY),
    Look("privacy", "/privacy", NOBODY),
    Look("security", "/security", NOBODY),
    Look("documents", "/documents", NOBODY),
    Look("document", "/documents/{name:path}", NOBODY),
    Look("reference", "/reference", NOBODY),
    Look("worklist", "/worklist"),
    Look("upload", "/upload"),
    Look("case", "/studies/{study_id}", case="accepted"),
    Look("case-referred", "/studies/{study_id}", case="referred"),
    Look("case-reviewed", "/studies/{study_id}", "reader", case="reviewed"),
    Look("case-refused", "/studies/{study_id}", case="refused"),
    Look("case-waiting", "/studies/{study_id}", case="unread"),
    Look("report", "/api/v1/predictions/{prediction_id}/report", query="?format=html"),
    Look("history", "/history"),
    Look("queue", "/queue"),
    Look("pacs", "/pacs", "admin"),
    Look("pacs-search", "/pacs/search"),
    Look("pacs-silent", "/pacs/search", query="?peer=archive&patient_name=Doe"),
    Look("trail", "/trail", "auditor"),
    Look("glass", "/glass", "auditor"),
    Look("people", "/people", "admin"),
    Look("person", "/people/{user_id}", "admin"),
    Look("person-new", "/people/new", "admin"),
    Look("projects", "/projects", "admin"),
    Look("project", "/projects/{project_id}", "admin"),
    Look("account", "/account"),
    Look("models", "/models", "admin"),
    Look("model", "/models/{bundle_id}", "admin"),
    Look("models-compared", "/models/compare", "admin", query="?a={bundle_id}&b={other}"),
    Look("evaluation", "/models/{bundle_id}/evaluation", "auditor"),
    Look("audit", "/models/{bundle_id}/audit", "auditor"),
    Look("audit-sheet", "/models/{bundle_id}/audit/sheet", "auditor"),
    Look("monitoring", "/monitoring", "admin"),
    Look("training", "/training", "admin"),
    Look("training-run", "/training/{run:path}", "admin"),
    Look("queue-unlabelled", "/queue/unlabelled"),
    Look("not-here", "/nothing-here", status=404),
    Look("not-for-you", "/people", status=403),
)
