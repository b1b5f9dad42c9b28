"""Numbers that name a person or an account, told from other numbers by their check digits and shapes. Pure.

Rules: ISO/IEC 7812 (cards, Luhn), ISO 13616 (IBAN, mod 97), ISO 7064, and each country's own for its national ids; the
algorithms are those that python-stdnum (arthurdejong.org/python-stdnum) documents.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Characters by country: the SWIFT registry of IBANs, release 99."""


def luhn(digits: str) -> bool:
    doubled = [int(c) for c in digits[-2::-2]]
    return (sum(int(c) for c in digits[-1::-2]) + sum(2 * n - 9 * (n > 4) for n in doubled)) % 10 == 0


def verhoeff(digits: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[place % 8][int(digit)])])
    return check == 0


def iban(text: str) -> bool:
    """``text`` without separators, in capitals."""
    if len(text) != IBAN_LENGTHS.get(text[:2]) or not text[2:4].isdigit():
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def card(digits: str) -> bool:
    """Luhn, and a prefix and length of a known network."""
    return _network(digits) and len(set(digits)) > 1 and luhn(digits)


def _network(digits: str) -> bool:
    two, three, four, size = int(digits[:2]), int(digits[:3]), int(digits[:4]), len(digits)
    if size == 15:
        return two in (34, 37) or four in (1800, 2131)
    if size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204 or two in (81, 82) or two == 60):
        return True
    if two // 10 == 4:
        return size in (13, 16, 19)
    if 300 <= three <= 305 or two in (36, 38, 39):
        return 14 <= size <= 19
    if four == 6011 or 644 <= three <= 649 or two in (62, 65) or 3528 <= four <= 3589:
        return size >= 16
    return (two in (50, 56, 57, 58) or four in (6304, 6390, 6759, 6761, 6762, 6763)) and 12 <= size <= 19


@dataclass(frozen=True, slots=True)
class Number:
    """One kind of national number. ``layouts``: digits between separators, as it is usually written.

    ``alone``: its check is strong enough to know it in one piece without a word beside it that names it.
    """

    name: str
    length: int
    valid: Callable[[str], bool]
    layouts: tuple[tuple[int, ...], ...] = ()
    alone: bool = True


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def _day(year: str, month: str, day: str) -> bool:
    """A day of some year of two digits; a leap day is let through."""
    try:
        dt.date(2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _ssn(d: str) -> bool:
    taxpayer = d[0] == "9" and (50 <= int(d[3:5]) <= 65 or 70 <= int(d[3:5]) <= 99)
    return d[:3] not in ("000", "666") and d[3:5] != "00" and d[5:] != "0000" and (d[0] != "9" or taxpayer)


def _steuer_id(d: str) -> bool:
    counts = sorted(d[:10].count(c) for c in set(d[:10]))
    if d[0] == "0" or counts[-1] not in (2, 3) or counts.count(1) < len(counts) - 1:
        return False
    product = 10
    for digit in d[:10]:
        product = (int(digit) + product) % 10 or 10
        product = product * 2 % 11
    return (11 - product) % 10 == int(d[10])


def _nir(d: str) -> bool:
    month = int(d[3:5])
    return d[0] in "123478" and (1 <= month <= 12 or month >= 20) and 97 - int(d[:13]) % 97 == int(d[13:])


def _cpf(d: str) -> bool:
    if len(set(d)) == 1:
        return False
    first = _weighted(d[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(d[:10], range(11, 1, -1)) * 10 % 11 % 10
    return d[9:] == f"{first}{second}"


def _bsn(d: str) -> bool:
    return d != "000000000" and _weighted(d, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _personnummer(d: str) -> bool:
    if len(d) == 12 and d[:2] not in ("18", "19", "20"):
        return False
    short = d[-10:]
    day = int(short[4:6])
    return _day(short[:2], short[2:4], f"{day - 60 if day > 60 else day:02}") and luhn(short)


def _pesel(d: str) -> bool:
    month = int(d[2:4]) % 20
    return _day(d[:2], f"{month:02}", d[4:6]) and (
        (10 - _weighted(d[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(d[10])
    )


def _fodselsnummer(d: str) -> bool:
    day, month = int(d[:2]), int(d[2:4])
    if not _day(d[4:6], f"{month - 40 if month > 40 else month:02}", f"{day - 40 if day > 40 else day:02}"):
        return False
    return (
        _weighted(d[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and _weighted(d, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def _rijksregister(d: str) -> bool:
    check = int(d[9:])
    return int(d[2:4]) <= 12 and int(d[4:6]) <= 31 and check in (97 - int(d[:9]) % 97, 97 - int("2" + d[:9]) % 97)


def _ahv(d: str) -> bool:
    return d[:3] == "756" and _weighted(d, (1, 3) * 7) % 10 == 0


def _tckn(d: str) -> bool:
    odd, even = sum(map(int, d[0:9:2])), sum(map(int, d[1:8:2]))
    return d[0] != "0" and (7 * odd - even) % 10 == int(d[9]) and (odd + even + int(d[9])) % 10 == int(d[10])


def _cnp(d: str) -> bool:
    check = _weighted(d[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return d[0] != "0" and _day(d[1:3], d[3:5], d[5:7]) and (1 if check == 10 else check) == int(d[12])


def _nhs(d: str) -> bool:
    return len(set(d)) > 1 and (11 - _weighted(d[:9], range(10, 1, -1)) % 11) % 11 == int(d[9])


def _my_number(d: str) -> bool:
    left = _weighted(d[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(d[11]) == (0 if left <= 1 else 11 - left)


def _rodne_cislo(d: str) -> bool:
    month = int(d[2:4]) % 50 % 20
    return _day(d[:2], f"{month:02}", d[4:6]) and int(d) % 11 == 0


NUMBERS: tuple[Number, ...] = (
    Number("us-ssn", 9, _ssn, ((3, 2, 4),), alone=False),
    Number("de-steuer-id", 11, _steuer_id, ((2, 3, 3, 3),)),
    Number("fr-nir", 15, _nir, ((1, 2, 2, 2, 3, 3, 2), (13, 2), (1, 2, 2, 2, 6, 2))),
    Number("in-aadhaar", 12, lambda d: d[0] in "23456789" and verhoeff(d), ((4, 4, 4),)),
    Number("br-cpf", 11, _cpf, ((3, 3, 3, 2), (9, 2))),
    Number("nl-bsn", 9, _bsn, ((4, 2, 3), (3, 3, 3), (4, 3, 2))),
    Number("se-personnummer", 10, _personnummer, ((6, 4),)),
    Number("se-personnummer", 12, _personnummer, ((8, 4),)),
    Number("pl-pesel", 11, _pesel),
    Number("no-fodselsnummer", 11, _fodselsnummer, ((6, 5),)),
    Number("dk-cpr", 10, lambda d: _day(d[4:6], d[2:4], d[:2]), ((6, 4),), alone=False),
    Number("be-rijksregister", 11, _rijksregister, ((2, 2, 2, 3, 2), (6, 3, 2))),
    Number("ch-ahv", 13, _ahv, ((3, 4, 4, 2),)),
    Number("pt-nif", 9, lambda d: _weighted(d, range(9, 0, -1)) % 11 in (0, 1), ((3, 3, 3),), alone=False),
    Number("ca-sin", 9, luhn, ((3, 3, 3),), alone=False),
    Number("au-tfn", 9, lambda d: _weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0, ((3, 3, 3),), alone=False),
    Number("kr-rrn", 13, lambda d: d[6] in "12345678" and _day(d[:2], d[2:4], d[4:6]), ((6, 7),), alone=False),
    Number("tr-tckn", 11, _tckn),
    Number(
        "za-id", 13, lambda d: _day(d[:2], d[2:4], d[4:6]) and d[10] in "012" and luhn(d), ((6, 4, 3), (6, 4, 2, 1))
    ),
    Number("jp-my-number", 12, _my_number, ((4, 4, 4),), alone=False),
    Number("ro-cnp", 13, _cnp),
    Number("uk-nhs", 10, _nhs, ((3, 3, 4),), alone=False),
    Number("cz-rodne-cislo", 10, _rodne_cislo, ((6, 4),), alone=False),
)


def nino(text: str) -> bool:
    """United Kingdom: two letters, six digits, a letter. Without separators, in capitals, as are those below."""
    if text[:2] == "QQ":  # the authorities' own example
        return True
    return text[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") and not set(text[:2]) & set("DFIQUV")


def dni(text: str) -> bool:
    """Spain: eight digits and a letter, or for foreigners X, Y or Z, seven digits and a letter."""
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def codice_fiscale(text: str) -> bool:
    """Italy: sixteen characters, the last of which checks the others."""
    odd = sum(_CF_ODD[c] for c in text[0:15:2])
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in text[1:15:2])
    return chr(65 + (odd + even) % 26) == text[15]


def hetu(text: str) -> bool:
    """Finland: the day of birth, a sign of the century, three digits and a check character."""
    digits = text[:6] + text[7:10]
    return _day(text[4:6], text[2:4], text[:2]) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == text[10]


def corsican_nir(text: str) -> bool:
    """France, of those born in Corsica: 2A or 2B stands where others have the number of their department."""
    return _nir_key(text[:5] + {"2A": "19", "2B": "18"}[text[5:7]] + text[7:])


def _nir_key(d: str) -> bool:
    return d.isdigit() and 97 - int(d[:13]) % 97 == int(d[13:])


def resident_id(text: str) -> bool:
    """China: seventeen digits and a check character (ISO 7064 mod 11-2)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return _day(text[8:10], text[10:12], text[12:14]) and "10X98765432"[_weighted(text[:17], weights) % 11] == text[17]


def rut(text: str) -> bool:
    """Chile: seven or eight digits and a check character."""
    total = sum(int(c) * (2 + place % 6) for place, c in enumerate(reversed(text[:-1])))
    return "0K987654321"[total % 11] == text[-1]


def nric(text: str) -> bool:
    """Singapore: S, T, F or G, seven digits and a check letter."""
    total = _weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + (4 if text[0] in "TG" else 0)
    return ("JZIHGFEDCBA" if text[0] in "ST" else "XWUTRQPNMLK")[total % 11] == text[8]


def pps(text: str) -> bool:
    """Ireland: seven digits, a check letter, and for some a second letter."""
    extra = 9 * (ord(text[8]) - 64) if len(text) == 9 and text[8] != "W" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[(_weighted(text[:7], range(8, 1, -1)) + extra) % 23] == text[7]
