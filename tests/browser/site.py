"""The service that the browser's tests look at: people, projects, and cases made on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.browser import made_scans
from tests.client.live import Live, live
from tests.serve.api.made import PASSWORD

from insula.bundle.types import Bundle
from insula.client import Client
from insula.client.answers import Prediction
from insula.serve.people import users
from insula.serve.people.roles import Role
from insula.serve.store.connect import writing

Person = Role | Literal["stranger"]


@dataclass(eq=False)
class Site:
    """A live service. folder: for scans that tests write."""

    live: Live
    folder: Path
    cases: dict[str, Prediction] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.live.address

    @property
    def host(self) -> str:
        """Host and port, as a browser names them."""
        return urlsplit(self.address).netloc

    def client(self, role: Role = "reviewer") -> Client:
        """A client with a key of a role, for what a test needs beforehand."""
        return self.live.client(role)

    def person(self, name: str, role: Role, project: str) -> None:
        """Let somebody in, into one project; the password is that of everybody here."""
        with writing(self.live.made.service.records) as connection:
            users.create(connection, name, role, datetime.now(UTC), password=PASSWORD, projects_in=[project])

    def scan(self, patient: str, blood: float = 1.0, flipped: bool = False) -> Path:
        """A folder with a made head CT."""
        place = self.folder / "scans" / patient
        made_scans.write(place, patient, blood, flipped, seed=len(list(self.folder.glob("scans/*"))))
        return place

    def case(
        self, patient: str, blood: float = 1.0, flipped: bool = False, name: str = "", of: Person = "reviewer"
    ) -> Prediction:
        """A predicted case of a patient, made once; of the project of somebody, which is `Inside` for most."""
        if patient not in self.cases:
            made = self.live.made
            project = made.outside if of == "stranger" else made.inside
            with Client(self.address, self.live.key(of)) as client:
                scan = self.scan(patient, blood, flipped)
                study = client.upload(scan, project, patient, patient_name=name)
                self.cases[patient] = client.predict_study(study, uncertainty=True)
        return self.cases[patient]


@contextmanager
def opened(folder: Path, bundle: Bundle, **settings: Any) -> Iterator[Site]:
    """A service over a bundle, with one worker and people of every role, as long as the block runs."""
    with live(folder, bundle, **settings) as found:
        yield Site(found, folder)
