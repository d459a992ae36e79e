"""Rules: the first that fits counts, patterns fit as one expects, and a wrong file says where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from insula.core.errors import UsageError
from insula.serve.pacs.rules import Rule, Rules, SeriesFacts, When, check_rules, fits, read_rules
from insula.serve.pacs.settings import read_pacs_settings

pytestmark = pytest.mark.serve
HEAD = SeriesFacts("CT1", "CT", "HEAD", "Head routine", "Axial 5mm")


@pytest.mark.parametrize(
    ("when", "fit"),
    [
        ({}, True),
        ({"modality": "CT"}, True),
        ({"modality": "ct", "body_part": "head"}, True),
        ({"modality": "MR"}, False),
        ({"study_description": "*routine"}, True),
        ({"study_description": "*ROUTINE "}, True),
        ({"series_description": "axial ?mm"}, True),
        ({"series_description": "axial ??mm"}, False),
        ({"body_part": ""}, False),
        ({"source": "CT?", "modality": "CT", "body_part": "HEAD", "series_description": "A*"}, True),
        ({"source": "CT2"}, False),
    ],
)
def test_all_patterns_have_to_fit(when: dict[str, str], fit: bool) -> None:
    assert fits(When(**when), HEAD) is fit


def test_nothing_fits_only_what_is_not_said() -> None:
    assert fits(When(body_part=""), SeriesFacts("A", "CT"))


def test_the_first_rule_that_fits_counts() -> None:
    rules = Rules(rules=(Rule(name="mr", when=When(modality="MR"), project="A"), Rule(name="rest", project="B")))
    found = rules.first(HEAD)
    assert found is not None
    assert found.name == "rest"
    assert Rules(rules=rules.rules[:1]).first(HEAD) is None


def test_what_no_rule_takes_is_stored_under_pseudonyms_where_any_rule_asks_for_them() -> None:
    plain, hidden = Rule(name="a", project="A"), Rule(name="b", project="B", pseudonymise=True)
    assert not Rules(rules=(plain,)).pseudonymise
    assert Rules(rules=(plain, hidden)).pseudonymise


@pytest.mark.parametrize(
    ("rules", "plain"),
    [
        ([], True),
        ([{}], True),
        ([{"modality": "CT", "hide": True}], False),
        ([{"hide": True}, {}], False),
        ([{}, {"hide": True}], True),
        ([{"source": "OTHER", "hide": True}], False),
        ([{"source": "OTHER", "hide": True}, {"modality": "CT"}], True),
        ([{"modality": "ct", "hide": True}, {"modality": "CT"}], False),
        ([{"source": "CT?", "modality": "CT", "hide": True}, {"modality": "CT", "body_part": "HEAD"}], False),
        ([{"modality": "CT", "body_part": "HEAD", "hide": True}, {"modality": "CT"}], True),
        ([{"source": "CT?", "modality": "CT", "hide": True}, {"source": "OTHER"}], False),
        ([{"modality": "CT", "hide": True}, {"modality": "CT"}, {"modality": "MR"}], True),
    ],
)
def test_whether_anything_of_a_source_may_be_stored_as_it_comes(rules: list[dict[str, Any]], plain: bool) -> None:
    made = [
        Rule(name=str(number), project="P", pseudonymise=one.pop("hide", False), when=When(**one))
        for number, one in enumerate(map(dict, rules))
    ]
    assert Rules(rules=tuple(made)).plain("CT1") is plain


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    one = {"name": "heads", "when": {"modality": "CT"}, "project": "Neuro", "model": "m", "send": ["archive"]}
    (rule,) = read_rules(written(tmp_path, yaml.safe_dump({"rules": [one]}))).rules
    assert (rule.project, rule.send, rule.objects) == ("Neuro", ("archive",), ("report", "capture", "map"))
    assert read_rules(None) == Rules()
    assert read_rules(written(tmp_path, "")) == Rules()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: a}]", "rules.0.project"),
        ("rules: [{name: a, project: P, modle: m}]", "rules.0.modle"),
        ("rules: [{name: a, project: P, objects: [picture]}]", "rules.0.objects.0"),
        ("rules: [{name: a, project: P, instances: 0}]", "rules.0.instances"),
        ("rules: [{name: a, project: P, when: {colour: red}}]", "rules.0.when.colour"),
        ("rules: {", "no YAML"),
        ("- a", "refused"),
        ("#" * (1 << 20) + "\n#", "megabyte"),
    ],
)
def test_a_wrong_file_says_where_it_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_rules(written(tmp_path, text))


def test_a_missing_file_and_one_of_another_encoding_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="INSULA_PACS_RULES"):
        read_rules(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"rules: [{name: \xe9}]")
    with pytest.raises(UsageError, match="no YAML"):
        read_rules(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((Rule(name="a", project="P", model="m", send=("nobody",)),), "'a' sends to a peer.*'nobody' is no peer"),
        ((Rule(name="a", project="P"), Rule(name="a", project="Q")), "Two rules are called 'a'"),
        ((Rule(name="a", project="P", send=("archive",)),), "no model"),
    ],
)
def test_rules_have_to_go_with_the_settings(rules: tuple[Rule, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_rules(Rules(rules=rules), read_pacs_settings(peers="archive=dicom://A@h"))


def test_an_address_that_is_none_is_not_said_to_be_missing() -> None:
    rules = Rules(rules=(Rule(name="a", project="P", model="m", send=("archive",)),))
    with pytest.raises(UsageError, match=r"^INSULA_PACS_PEERS gives 'archive' no address of a kind that is known"):
        check_rules(rules, read_pacs_settings(peers="archive=ftp://h"))


def test_sound_rules_are_taken() -> None:
    rules = Rules(rules=(Rule(name="a", project="P", model="m", send=("archive",)), Rule(name="b", project="P")))
    check_rules(rules, read_pacs_settings(peers="archive=dicom://A@h"))
