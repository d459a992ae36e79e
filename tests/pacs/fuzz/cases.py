"""What is sent to the node: one connection each, made of a seed and a number, so that each can be sent again alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.pacs.fuzz import mutate, objects, pdus

_TITLES: Final = (
    b"", b" " * 16, b"\0" * 16, b"A\nB", b"\x1b[2J", b"INSULA\\X", b"\xff\xfe\xfd", b"..\\..\\x", b"level=error",
    b"%n%n%n", b"insula", b"INSULA\0EVIL", b"{}", b"A" * 16,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One connection. first: sent at once; then, where the association was accepted, `then`.

    answered: whether all of it is framed as the standard has it, so that an answer has to come before the end.
    instances: UIDs under which an object may have been stored.
    """

    name: str
    first: bytes
    then: bytes = b""
    answered: bool = False
    instances: tuple[str, ...] = ()


def case(seed: int, number: int) -> Case:
    """One of all cases."""
    random = Random(f"{seed}/{number}")
    return _FAMILIES[number % len(_FAMILIES)](random, f"1.2.999.{seed}.{number}")


def _junk(random: Random, _: str) -> Case:
    web = b"GET /dicom-web HTTP/1.1\r\nHost: x\r\n\r\n"
    start = random.choice((b"", web, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x0bMSH|^~\\&|"))
    return Case("junk", start + mutate.junk(random, 3000))


def _unit(random: Random, _: str) -> Case:
    """A unit of any kind, with a length that may lie, before there is an association."""
    length = random.choice((None, None, mutate.length(random)))
    return Case("unit", pdus.pdu(random.randrange(256), mutate.junk(random, 200), length))


def _changed_request(random: Random, _: str) -> Case:
    return Case("changed request", mutate.changed(random, pdus.associate()))


def _changed_body(random: Random, _: str) -> Case:
    """The length of the unit is true; what is in it is not."""
    return Case("changed body", pdus.pdu(0x01, mutate.changed(random, pdus.request())), pdus.RELEASE)


def _cut_request(random: Random, _: str) -> Case:
    return Case("cut request", mutate.cut(random, pdus.associate()))


def _titles(random: Random, _: str) -> Case:
    called = random.choice((b"INSULA", random.choice(_TITLES)))
    calling = random.choice((b"FUZZ", random.choice(_TITLES)))
    return Case("titles", pdus.associate(called=called, calling=calling), pdus.RELEASE, answered=True)


def _contexts(random: Random, _: str) -> Case:
    """Presentation contexts: none, hundreds, twice the same, with even numbers, with names that are none."""
    names = [pdus.CT.encode(), b"", b"1" * 64, b"1." * 200, b"\xff\xff", b"../..", b"1.2\0.3"]
    count = random.choice((0, 1, 5, 128, 129, 400))
    asked = [
        pdus.context(
            random.choice((2 * k + 1, 1, 0, 2, 255)),
            random.choice(names),
            random.choices(names, k=random.randint(0, 3)),
        )
        for k in range(count)
    ]
    return Case("contexts", pdus.associate(contexts=asked), pdus.RELEASE)


def _user(random: Random, _: str) -> Case:
    """User information: lengths that lie, identities with long secrets, roles for classes that nobody asked for."""
    secret = mutate.junk(random, 2000)
    identity = struct.pack(">BBH", random.randrange(256), 1, mutate.length(random) & 0xFFFF) + secret
    more = [
        pdus.item(0x58, identity),
        pdus.item(0x54, struct.pack(">H", mutate.length(random) & 0xFFFF) + pdus.CT.encode() + b"\1\1"),
        pdus.item(0x53, struct.pack(">HH", 0, 0xFFFF)),
        pdus.item(0x56, mutate.junk(random, 60)),
        pdus.item(random.randrange(256), mutate.junk(random, 60), mutate.length(random)),
    ]
    largest = random.choice((0, 1, 5, 6, 7, 100, 0x7FFFFFFF, 0xFFFFFFFF))
    return Case(
        "user",
        pdus.associate(info=pdus.user(*random.sample(more, random.randint(0, 3)), largest=largest)),
        pdus.RELEASE,
    )


def _values(random: Random, instance: str) -> Case:
    """Data values: lengths that lie, contexts that were not agreed, commands without an end, flags that say nothing."""
    good = pdus.command(pdus.store(instance))
    data = objects.joined(objects.sound(instance))
    number = random.choice((1, 1, 1, 0, 2, 99, 255, 11))
    parts = [
        pdus.value(number, good, random.choice((3, 1, 0, 2, 255)), random.choice((None, mutate.length(random)))),
        pdus.value(number, data, random.choice((0, 2, 3, 1)), random.choice((None, None, mutate.length(random)))),
        pdus.value(number, b"", random.choice((0, 1, 2, 3))),
        mutate.junk(random, 50),
    ]
    units = [
        pdus.pdu(0x04, b"".join(random.choices(parts, k=random.randint(0, 3)))) for _ in range(random.randint(1, 6))
    ]
    return Case("values", pdus.associate(), b"".join(units) + pdus.RELEASE, instances=(instance,))


def _changed_units(random: Random, instance: str) -> Case:
    whole = pdus.sent(
        1, pdus.command(pdus.store(instance)), objects.joined(objects.sound(instance)), random.choice((100, 16000))
    )
    return Case("changed units", pdus.associate(), mutate.changed(random, whole), instances=(instance,))


def _cut_units(random: Random, instance: str) -> Case:
    whole = pdus.sent(1, pdus.command(pdus.store(instance)), objects.joined(objects.sound(instance)), 100)
    return Case("cut units", pdus.associate(), mutate.cut(random, whole), instances=())


def _commands(random: Random, instance: str) -> Case:
    """Command sets: elements changed, missing, twice, with values of other lengths, or bytes that are none."""
    elements = random.choice((pdus.store, lambda _: pdus.echo(), lambda _: pdus.action()))(instance)
    which = random.randrange(5)
    if which == 0:
        elements = random.sample(elements, random.randint(0, len(elements)))
    elif which == 1:
        place = random.randrange(len(elements))
        elements[place] = (elements[place][0], random.choice((b"", b"\0", b"\xff" * 4, mutate.junk(random, 70))))
    elif which == 2:
        elements.append(
            (random.choice((0x00000600, 0x00001030, 0x00001031, 0x00000900, 0x00000902)), mutate.junk(random, 20))
        )
    raw = pdus.command(elements)
    if which == 3:
        raw = mutate.changed(random, raw)
    elif which == 4:
        field = random.choice(
            (0x0000, 0x0010, 0x0020, 0x0021, 0x0FFF, 0x8001, 0x8030, 0x0100, 0x0120, 0x0140, 0x0150, 0xFFFF)
        )
        raw = pdus.command([(tag, pdus.short(field) if tag == 0x00000100 else value) for tag, value in elements])
    number = random.choice((1, 11, 13))
    data = random.choice((b"", objects.joined(objects.sound(instance))))
    return Case("commands", pdus.associate(), pdus.sent(number, raw, data) + pdus.RELEASE, instances=(instance,))


def _order(random: Random, instance: str) -> Case:
    """Units at the wrong time: a second request, an answer nobody asked for, data behind the release."""
    units = [
        pdus.associate(), pdus.RELEASE, pdus.ABORT, pdus.pdu(0x02, bytes(68)), pdus.pdu(0x03, bytes(4)),
        pdus.pdu(0x06, bytes(4)), pdus.sent(11, pdus.command(pdus.echo())),
        pdus.sent(1, pdus.command(pdus.store(instance)), objects.joined(objects.sound(instance))),
        pdus.pdu(0x04, b""), pdus.pdu(random.randrange(8, 256), b"x"),
    ]  # fmt: skip
    return Case(
        "order", pdus.associate(), b"".join(random.choices(units, k=random.randint(1, 6))), instances=(instance,)
    )


def _objects(random: Random, instance: str) -> Case:
    data = objects.hostile(random, instance)
    return _stored("object", random.choice((1, 1, 1, 3, 7, 9)), instance, instance, data)


def _deflated(random: Random, instance: str) -> Case:
    return _stored("deflated", 5, instance, instance, objects.deflated(random, instance))


def _announced(random: Random, instance: str) -> Case:
    """The command names another object than comes, or one that cannot be."""
    named = random.choice((*objects.HOSTILE, "1.2.999.9.9"))
    return _stored("announced", 1, named, instance, objects.joined(objects.sound(instance)))


def _commitment(random: Random, instance: str) -> Case:
    """Requests for storage commitment: references without number, to hostile names, or changed bytes."""
    rows = b"".join(
        _pair(
            pdus.element(0x00081150, pdus.uid(pdus.CT))
            + pdus.element(0x00081155, pdus.uid(random.choice(objects.HOSTILE)))
        )
        for _ in range(random.choice((0, 1, 3, 5000)))
    )
    transaction = random.choice((instance, *objects.HOSTILE))
    data = pdus.element(0x00081195, pdus.uid(transaction)) + pdus.element(0x00081199, rows)
    if random.random() < 0.5:
        data = mutate.changed(random, data)
    return Case(
        "commitment", pdus.associate(), pdus.sent(13, pdus.command(pdus.action()), data or b"\0\0") + pdus.RELEASE
    )


def _pair(inner: bytes) -> bytes:
    return objects.mark(0xFFFEE000, len(inner)) + inner


def _stored(name: str, number: int, announced: str, instance: str, data: bytes) -> Case:
    raw = pdus.command(pdus.store(announced))
    sent = pdus.sent(number, raw, data or b"\0\0")
    return Case(name, pdus.associate(), sent, answered=True, instances=(instance, announced, "1.2.999.4"))


_FAMILIES: Final[tuple[Callable[[Random, str], Case], ...]] = (
    _junk, _unit, _changed_request, _changed_body, _cut_request, _titles, _contexts, _user, _values, _changed_units,
    _cut_units, _commands, _commands, _order, _objects, _objects, _objects, _objects, _deflated, _announced,
    _commitment,
)  # fmt: skip
