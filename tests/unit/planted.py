"""Personal data and keys of every kind, made from a seed, in the many ways in which people write them down."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from app.core import identities

_ALNUM = string.ascii_letters + string.digits
_FULLWIDTH = str.maketrans("0123456789@.", "0123456789@.")
CLEAN = (
    "Why was I charged twice for one transfer?",
    "How long does an exchange take on a Sunday, and what does it cost per 100 euros?",
    "My new card has not arrived after 12 days; the app says 3 to 5.",
    "Please compare these two phones: which camera is better at night (f/1.8 or f/2.4)?",
    "The password is not accepted, and my token has expired. What now?",
    "Meeting on 2026-03-14 at 10:30 in room 4.12, budget 1,250,000, growth 3.5 %.",
)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _until(rng: random.Random, make: Callable[[], str], valid: Callable[[str], bool]) -> str:
    while not valid(made := make()):
        pass
    return made


def _grouped(rng: random.Random, digits: str, *sizes: int) -> str:
    if rng.random() < 0.3:
        return digits
    mark = rng.choice(" -.")
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    return mark.join(digits[end - size : end] for size, end in zip(sizes, ends, strict=True))


def email(rng: random.Random) -> str:
    user = rng.choice(["jane.doe", "k_oduya", "info+mail", "m-schmidt99", "o'brien"])
    domain, top = rng.choice(["example", "mail.example", "post-24"]), rng.choice(["com", "org", "co.uk", "de"])
    form = rng.choice(["{u}@{d}.{t}", "{u} (at) {d} (dot) {t}", "{u}[at]{d}.{t}", "{u}\u200b@{d}.{t}", "{u}@{d}.{t}"])
    return form.format(u=user, d=domain, t=top)


def phone(rng: random.Random) -> str:
    national = f"{rng.randint(201, 989)}-{rng.randint(200, 999)}-{_digits(rng, 4)}"
    forms = [
        national,
        national.replace("-", "."),
        f"({national[:3]}) {national[4:]}",
        f"+1 {national}",
        f"+49 {rng.randint(30, 999)} {rng.randint(100000, 999999)}",
        f"+33 6 {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)}",
        f"07{_digits(rng, 3)} {_digits(rng, 6)}",
        f"06 {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)}",
        f"+44{rng.randint(2000000000, 7999999999)}",
        f"phone: {rng.randint(2000000, 9999999)}",
    ]
    return rng.choice(forms)


def iban(rng: random.Random) -> str:
    country = rng.choice(["DE", "GB", "FR", "NL", "ES", "IT", "CH"])
    length = identities.IBAN_LENGTHS[country]
    body = ("ABNA" if country in ("GB", "NL") else "X" if country == "IT" else "") + _digits(rng, 30)
    body = body[: length - 4]
    check = 98 - int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    made = f"{country}{check:02}{body}"
    spaced = " ".join(made[at : at + 4] for at in range(0, length, 4))
    return rng.choice([made, spaced, made.lower(), spaced.replace(" ", "-")])


def card(rng: random.Random) -> str:
    prefix, length = rng.choice(
        [("4", 16), ("51", 16), ("2223", 16), ("37", 15), ("6011", 16), ("3530", 16), ("36", 14)]
    )
    number = _until(rng, lambda: prefix + _digits(rng, length - len(prefix)), identities.luhn)
    if length == 15:
        return _grouped(rng, number, 4, 6, 5)
    if length == 14:
        return _grouped(rng, number, 4, 6, 4)
    shown = _grouped(rng, number, 4, 4, 4, 4)
    return rng.choice([shown, shown, shown.translate(_FULLWIDTH), " ".join(number), "\u200b".join(shown)])


def address(rng: random.Random) -> str:
    v4 = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    v6 = ":".join(f"{rng.randint(4096, 65535):x}" for _ in range(8))
    return rng.choice([v4, v4, v4.replace(".", "[.]"), v6, f"2001:db8::{rng.randint(4096, 65535):x}"])


def national_id(rng: random.Random) -> str:
    number = rng.choice([n for n in identities.NUMBERS if n.alone or n.layouts])
    digits = _until(rng, lambda: _digits(rng, number.length), number.valid)
    layout = rng.choice(number.layouts) if number.layouts else None
    if layout is not None and (not number.alone or rng.random() < 0.5):
        ends = [sum(layout[: n + 1]) for n in range(len(layout))]
        return "-".join(digits[end - size : end] for size, end in zip(layout, ends, strict=True))
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"
    dni = _digits(rng, 8)
    lettered = [dni + letter[int(dni) % 23], f"AB {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} C"]
    return rng.choice([digits, digits, *lettered, "RSSMRA85T10A562S", "131052-308T", f"SSN {_ssn(rng)}"])


def _ssn(rng: random.Random) -> str:
    return f"{rng.randint(100, 600)}{rng.randint(10, 99)}{rng.randint(1000, 9999)}"


def secret(rng: random.Random) -> str:
    def some(count: int, alphabet: str = _ALNUM) -> str:
        return "".join(rng.choice(alphabet) for _ in range(count - 2)) + "4f"

    upper = string.ascii_uppercase + string.digits
    forms = [
        f"sk-{some(48)}",
        f"sk-ant-api03-{some(60)}",
        f"sk-proj-{some(40)}",
        f"AKIA{some(16, upper).upper()}",
        f"ghp_{some(36)}",
        f"github_pat_{some(22)}_{some(40)}",
        f"xoxb-{_digits(rng, 12)}-{some(24)}",
        f"AIza{some(35)}",
        f"hf_{some(34)}",
        f"gsk_{some(52)}",
        f"glpat-{some(20)}",
        f"sk_live_{some(24)}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{some(20)}.{some(30)}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{some(64)}\n{some(64)}\n-----END RSA PRIVATE KEY-----",
        f"postgresql://app:{some(12)}@db.internal:5432/orders",
        f"password: {some(10)}",
        f"PASSWORD={some(12)}",
        f"token={some(32)}",
        f"api_key: '{some(32)}'",
        f"Authorization: Bearer {some(40)}",
        f"my pin is {_digits(rng, 4)}",
    ]
    return rng.choice(forms)


KINDS: dict[str, Callable[[random.Random], str]] = {
    "email": email,
    "phone": phone,
    "iban": iban,
    "card": card,
    "ip": address,
    "national-id": national_id,
    "secret": secret,
}
_AROUND = (
    "Please look into {}, thank you.",
    "{}",
    "I wrote it down here: {} - is that right?",
    "Kunde: {}\nBitte prüfen…",
)


def plant(rng: random.Random) -> tuple[str, str, str]:
    """(kind, what was planted, a text that holds it)."""
    kind = rng.choice(list(KINDS))
    value = KINDS[kind](rng)
    return kind, value, rng.choice(_AROUND).format(value)
