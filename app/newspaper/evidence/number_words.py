"""Numbers in words, months, days and units: tables for English, German, French, Spanish and Italian.

Articles that are also the number one (``ein``, ``une``, ``uno``) are left out: they are no numbers in most sentences.
"""

from __future__ import annotations

from fractions import Fraction

from app.newspaper.evidence.common_words import listed


def _count(words: str, start: int = 1, step: int = 1) -> dict[str, int]:
    """The words of a list in turn; ``|`` divides spellings."""
    return {
        spelling: start + place * step
        for place, spellings in enumerate(words.split())
        for spelling in spellings.split("|")
    }


UNITS: dict[str, dict[str, int]] = {
    "en": {
        "zero": 0,
        **_count(
            "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
            " eighteen nineteen"
        ),
        **_count("twenty thirty forty|fourty fifty sixty seventy eighty ninety", 20, 10),
    },
    "de": {
        "null": 0,
        **_count(
            "eins zwei|zwo drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn"
            " siebzehn achtzehn neunzehn"
        ),
        **_count("zwanzig dreißig|dreissig vierzig fünfzig sechzig siebzig achtzig neunzig", 20, 10),
    },
    "fr": {
        "zéro": 0,
        **_count(
            "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit"
            " dix-neuf vingt",
            2,
        ),
        **_count("trente quarante cinquante soixante", 30, 10),
    },
    "es": {
        "cero": 0,
        **_count(
            "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete"
            " dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis"
            " veintisiete veintiocho veintinueve",
            2,
        ),
        **_count("treinta cuarenta cincuenta sesenta setenta ochenta noventa", 30, 10),
        **_count("doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos", 200, 100),
    },
    "it": {
        "zero": 0,
        **_count(
            "due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici"
            " diciassette diciotto diciannove venti",
            2,
        ),
        **_count("trenta quaranta cinquanta sessanta settanta ottanta novanta", 30, 10),
    },
}
"""Language → word → value. Composed ones are read out of these."""

for _ten, _value in _count("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig", 20, 10).items():
    for _one, _less in _count("ein zwei drei vier fünf sechs sieben acht neun").items():
        UNITS["de"][f"{_one}und{_ten}"] = _value + _less

SCALES: dict[str, dict[str, int]] = {
    "en": {
        "hundred": 100,
        "thousand": 10**3,
        "million": 10**6,
        "billion": 10**9,
        "trillion": 10**12,
        "dozen": 12,
    },
    "de": {
        "hundert": 100,
        "tausend": 10**3,
        "million": 10**6,
        "millionen": 10**6,
        "mio": 10**6,
        "milliarde": 10**9,
        "milliarden": 10**9,
        "mrd": 10**9,
        "billion": 10**12,
        "billionen": 10**12,
        "dutzend": 12,
    },
    "fr": {
        "cent": 100,
        "cents": 100,
        "mille": 10**3,
        "million": 10**6,
        "millions": 10**6,
        "milliard": 10**9,
        "milliards": 10**9,
        "douzaine": 12,
    },
    "es": {
        "cien": 100,
        "ciento": 100,
        "mil": 10**3,
        "millón": 10**6,
        "millones": 10**6,
        "billón": 10**12,
        "billones": 10**12,
        "docena": 12,
    },
    "it": {
        "cento": 100,
        "mille": 10**3,
        "mila": 10**3,
        "milione": 10**6,
        "milioni": 10**6,
        "miliardo": 10**9,
        "miliardi": 10**9,
        "dozzina": 12,
    },
}
SHORT_SCALES = {"k": 10**3, "mn": 10**6, "mln": 10**6, "bn": 10**9, "tn": 10**12, "M": 10**6, "B": 10**9, "K": 10**3}
"""Glued to digits or behind a blank, in this spelling only; ``m`` is million behind a currency, else metres."""

VAGUE: dict[str, dict[str, int]] = {
    "en": {
        "dozens": 12,
        "hundreds": 100,
        "thousands": 10**3,
        "millions": 10**6,
        "billions": 10**9,
        "trillions": 10**12,
        "scores": 20,
        "decades": 10,
        "centuries": 100,
    },
    "de": {"dutzende": 12, "hunderte": 100, "tausende": 10**3},
    "fr": {"dizaines": 10, "centaines": 100, "milliers": 10**3},
    "es": {"decenas": 10, "cientos": 100, "miles": 10**3},
    "it": {"decine": 10, "centinaia": 100, "migliaia": 10**3},
}

ORDINALS: dict[str, dict[str, int]] = {
    "en": {
        **_count(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
            " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        **_count("thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth", 30, 10),
    },
    "de": {
        stem + ending: value
        for stem, value in _count(
            "erst zweit dritt viert fünft sechst siebt acht neunt zehnt elft zwölft zwanzigst hundertst"
        ).items()
        for ending in ("e", "en", "er", "es", "em")
    }
    | {f"zwanzigst{e}": 20 for e in ("e", "en", "er")}
    | {f"hundertst{e}": 100 for e in ("e", "en", "er")},
    "fr": {
        **_count(
            "premier|première deuxième|seconde troisième quatrième cinquième sixième septième huitième neuvième dixième"
        )
    },
    "es": {**_count("primero|primera|primer segundo|segunda tercero|tercera|tercer cuarto|cuarta quinto|quinta sexto")},
    "it": {**_count("primo|prima secondo|seconda terzo|terza quarto|quarta quinto|quinta sesto|sesta")},
}

SHARES: dict[str, dict[str, Fraction]] = {
    "en": {"half": Fraction(1, 2), "halved": Fraction(1, 2), "halves": Fraction(1, 2), "halving": Fraction(1, 2)},
    "de": {
        "halb": Fraction(1, 2),
        "halbe": Fraction(1, 2),
        "halben": Fraction(1, 2),
        "halber": Fraction(1, 2),
        "halbes": Fraction(1, 2),
        "hälfte": Fraction(1, 2),
        "halbiert": Fraction(1, 2),
        "halbierte": Fraction(1, 2),
        "drittel": Fraction(1, 3),
        "viertel": Fraction(1, 4),
        "fünftel": Fraction(1, 5),
        "zehntel": Fraction(1, 10),
    },
    "fr": {"moitié": Fraction(1, 2), "demi": Fraction(1, 2), "tiers": Fraction(1, 3), "quart": Fraction(1, 4)},
    "es": {"mitad": Fraction(1, 2), "medio": Fraction(1, 2), "tercio": Fraction(1, 3)},
    "it": {"metà": Fraction(1, 2), "mezzo": Fraction(1, 2), "terzi": Fraction(1, 3)},
}
"""Behind a number they are multiplied with it: ``zwei Drittel``."""
ENGLISH_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
    "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10, "hundredth": 100, "hundredths": 100,
}  # fmt: skip

ENGLISH_GROUPS = {"couple": 2, "pair": 2, "duo": 2, "trio": 3, "threesome": 3, "quartet": 4, "quintet": 5, "score": 20}
"""``a pair of``: so many."""

TIMES: dict[str, dict[str, int]] = {
    "en": {
        **dict.fromkeys(listed("double doubled doubles doubling twice twofold"), 2),
        **dict.fromkeys(listed("triple tripled triples tripling thrice threefold treble trebled"), 3),
        **dict.fromkeys(listed("quadruple quadrupled quadruples quadrupling fourfold"), 4),
        **dict.fromkeys(listed("quintupled fivefold"), 5),
        "tenfold": 10,
    },
    "de": {
        **dict.fromkeys(listed("doppelt doppelte doppelten verdoppelt verdoppelte verdoppeln zweimal zweifach"), 2),
        **dict.fromkeys(listed("dreifach dreifache verdreifacht verdreifachte dreimal"), 3),
        **dict.fromkeys(listed("vierfach vervierfacht vervierfachte viermal"), 4),
        "zehnfach": 10,
    },
    "fr": {**dict.fromkeys(listed("double doublé doubler"), 2), **dict.fromkeys(listed("triple triplé tripler"), 3)},
    "es": {**dict.fromkeys(listed("doble duplicó duplicado"), 2), **dict.fromkeys(listed("triple triplicó"), 3)},
    "it": {**dict.fromkeys(listed("doppio raddoppiato"), 2), **dict.fromkeys(listed("triplo triplicato"), 3)},
}

MONTHS = {
    spelling: number
    for number, spellings in enumerate(
        (
            "january jan januar jänner janvier enero gennaio",
            "february feb februar feber février febrero febbraio",
            "march mar märz mars marzo",
            "april apr avril abril aprile",
            "may mai mayo maggio",
            "june jun juni juin junio giugno",
            "july jul juli juillet julio luglio",
            "august aug août agosto",
            "september sep sept septembre septiembre settembre",
            "october oct oktober okt octobre octubre ottobre",
            "november nov novembre noviembre",
            "december dec dezember dez décembre diciembre dicembre",
        ),
        1,
    )
    for spelling in spellings.split()
}
SHORT_MONTHS = listed("jan feb mar apr jun jul aug sep sept oct okt nov dec dez")
"""Months only beside a day or a year."""
WEEKDAYS = {
    spelling: number
    for number, spellings in enumerate(
        (
            "monday mondays montag lundi lunes lunedì",
            "tuesday tuesdays dienstag mardi martes martedì",
            "wednesday wednesdays mittwoch mercredi miércoles mercoledì",
            "thursday thursdays donnerstag jeudi jueves giovedì",
            "friday fridays freitag vendredi viernes venerdì",
            "saturday saturdays samstag sonnabend samedi sábado sabato",
            "sunday sundays sonntag dimanche domingo domenica",
        ),
        1,
    )
    for spelling in spellings.split()
}

PERCENT = (
    "%", "percent", "per cent", "per-cent", "pct", "prozent", "pour cent", "pour-cent", "por ciento", "per cento",
)  # fmt: skip
POINTS = (
    "percentage points", "percentage point", "percentage-point", "prozentpunkte", "prozentpunkten", "prozentpunkt",
    "points de pourcentage", "puntos porcentuales", "punti percentuali", "% points",
)  # fmt: skip
CURRENCIES = {
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "dollars": "$",
    "€": "€", "eur": "€", "euro": "€", "euros": "€",
    "£": "£", "gbp": "£", "pounds": "£", "pound": "£", "pfund": "£", "sterling": "£",
    "¥": "¥", "yen": "¥", "jpy": "¥", "yuan": "yuan", "renminbi": "yuan", "rmb": "yuan",
    "₹": "₹", "rupees": "₹", "rupien": "₹", "francs": "chf", "franken": "chf", "chf": "chf",
    "c$": "c$", "a$": "a$", "hk$": "hk$", "cents": "cent", "cent": "cent", "pence": "pence", "krona": "kr",
    "kronor": "kr", "kroner": "kr", "kronen": "kr", "rubles": "rub", "roubles": "rub", "rubel": "rub", "₽": "rub",
    "won": "won", "₩": "won", "real": "brl", "reais": "brl", "pesos": "peso", "zloty": "pln",
}  # fmt: skip
MEASURES = {
    spelling: unit
    for unit, spellings in {
        "km": "km kilometre kilometres kilometer kilometers kilometern kilomètres kilómetros chilometri",
        "mile": "mile miles meile meilen mi",
        "m": "m metre metres meter meters metern mètres metros metri",
        "cm": "cm centimetre centimetres centimeter centimeters zentimeter",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "ft": "ft foot feet fuß",
        "inch": "inch inches zoll",
        "yard": "yard yards",
        "kg": "kg kilo kilos kilogram kilograms kilogramm",
        "g": "gram grams gramm",
        "mg": "mg milligram milligrams",
        "t": "tonne tonnes tonnen ton tons",
        "lb": "lb lbs",
        "oz": "oz ounce ounces",
        "l": "litre litres liter liters litern",
        "gal": "gallon gallons",
        "barrel": "barrel barrels bbl",
        "acre": "acre acres",
        "ha": "ha hectare hectares hektar",
        "kb": "kb kilobyte kilobytes",
        "mb": "mb megabyte megabytes",
        "gb": "gb gigabyte gigabytes",
        "tb": "tb terabyte terabytes",
        "pb": "pb petabyte petabytes",
        "kw": "kw kilowatt kilowatts",
        "mw": "mw megawatt megawatts",
        "gw": "gw gigawatt gigawatts",
        "kwh": "kwh",
        "mwh": "mwh",
        "°c": "°c celsius",
        "°f": "°f fahrenheit",
        "mph": "mph",
        "s": "second seconds sec sekunde sekunden secondes segundos secondi",
        "min": "minute minutes min mins minuten minutos minuti",
        "h": "hour hours hr hrs stunde stunden heures horas ore",
        "day": "day days tag tage tagen tages jours días giorni",
        "week": "week weeks woche wochen semaines semanas settimane",
        "month": "month months monat monate monaten mois meses mesi",
        "quarter": "quarters quartale",
        "year": "year years yr yrs jahr jahre jahren jahres jährige jähriger ans années años anni",
        "decade": "decade decades jahrzehnt jahrzehnte jahrzehnten",
        "century": "century centuries jahrhundert jahrhunderte",
    }.items()
    for spelling in spellings.split()
}
STOPWORDS = {
    "en": listed("the of and to in is that for it with as was are on by this be from have at"),
    "de": listed("der die und das ist nicht ein eine zu den von mit sich auf für im dem des auch wird"),
    "fr": listed("le la les et des une est dans pour que qui sur par pas du au avec ce il en"),
    "es": listed("el la los las y que en un una es por con para del se no su al lo como"),
    "it": listed("il la di che e un una per in è con del non si le dei della sono al gli"),
}


def language_of(text: str, fallback: str) -> str:
    """The one of the languages here that a text is written in, by its small words; too few of them: ``fallback``."""
    words = text.casefold().split()[:400]
    counts = {language: sum(word in small for word in words) for language, small in STOPWORDS.items()}
    best = max(counts, key=lambda language: (counts[language], language == fallback))
    return best if counts[best] >= 2 else fallback
