from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.evaluate.scripted import case

from insula.bundle.types import Bundle
from insula.core.types import Case
from insula.evaluate import known, site

Make = Callable[..., Bundle]


def at(key: str, where: str) -> Case:
    return replace(case(key, key), attributes={"site": where} if where else {})


def told(bundle: Bundle, *sites: str) -> known.Known:
    bare = known.of_bundle(bundle)
    return replace(bare, sites=frozenset(bare.hashed(name) for name in sites))


def test_external_needs_other_sites_throughout(tiny_bundle: Make) -> None:
    bundle = told(tiny_bundle(), "Oslo", "Bergen")
    found = site.standing(bundle, [at("a", "Porto"), at("b", "Porto"), at("c", "Lyon")])
    assert (found.standing, found.sites) == ("external", {"Lyon": 1, "Porto": 2})
    found = site.standing(bundle, [at("a", "Porto"), at("b", "Oslo"), at("c", "")])
    assert (found.standing, found.shared, found.total) == ("internal", 1, 3)
    assert found.reason == "1 of 3 patients come from a site that was trained on"
    found = site.standing(bundle, [at("a", "Porto"), at("b", "")])
    assert (found.standing, found.reason) == ("not known", "1 of 2 patients name no site (attribute 'site')")


def test_nobody_knows_without_the_training_sites(tiny_bundle: Make) -> None:
    assert site.standing(told(tiny_bundle()), [at("a", "Porto")]).standing == "not known"
    found = site.standing(None, [at("a", "Porto")])
    assert (found.standing, found.sites) == ("not known", {"Porto": 1})


def test_the_header_names_the_site_where_the_table_does_not() -> None:
    bare = case("a", "a")
    scan = replace(bare.scans["ct"], attributes={"institution": "Porto"})
    assert known.site(replace(bare, scans={"ct": scan})) == "Porto"
    assert known.site(replace(bare, scans={"ct": scan}, attributes={"site": "Lyon"})) == "Lyon"
    assert known.site(bare) == ""
