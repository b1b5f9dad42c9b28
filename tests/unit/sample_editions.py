# ruff: noqa: E501
"""Editions as a good night makes them, and a bad one; their text is written for the tests, and nothing in it is true."""

from __future__ import annotations

import datetime as dt

from app.newspaper.edition import (
    Chart,
    Colophon,
    Credit,
    Dropped,
    Edition,
    Figure,
    Hand,
    Narrative,
    Page,
    Piece,
    Point,
    StepLine,
    Weather,
)
from app.newspaper.material import Claim, FeedReport
from app.newspaper.paper import Desk, Feed, Paper, Publish

DATE = dt.date(2026, 11, 20)
_HAND = "01JD4Q8ZK3V7W2N5"


def paper(**changes: object) -> Paper:
    values: dict[str, object] = {
        "name": "lantern",
        "title": "The Harbour Lantern",
        "motto": "Seen by night, read by day",
        "time_zone": "Europe/Berlin",
        "desk": (Desk(name="world", title="World", description="the world"),),
        "feed": (Feed(name="The Tidewater Post", url="https://tidewater.example/feed"),),
        "publish": Publish(url="https://lantern.example/paper", formats=("html", "markdown", "atom")),
    }
    return Paper.model_validate(values | changes)


def _claims(text: str) -> tuple[Claim, ...]:
    """``Sentence. [1.2 2.1] Sentence.`` as claims."""
    claims = []
    for part in text.split("\n"):
        said, _, cites = part.strip().rpartition(" [")
        if said:
            claims.append(Claim(text=said, cites=tuple(cites.rstrip("]").split())))
    return tuple(claims)


def _article(id: str, headline: str, summary: str, text: str, *credits: Credit, **more: object) -> Piece:
    values = {
        "id": id,
        "form": "article",
        "headline": headline,
        "summary": summary,
        "sentences": _claims(text),
        "credits": credits,
        "writer": "groq/llama-3.3-70b-versatile",
        "checkers": ("mistral/mistral-medium-latest", "gemini/gemini-2.5-flash"),
        "jobs": (f"{_HAND}WR{id[-2:].upper()}", f"{_HAND}CH{id[-2:].upper()}"),
    }
    return Piece.model_validate(values | more)


_POST = Credit(
    name="The Tidewater Post",
    title="Lock gates at Marrow Sound to close for eleven nights",
    url="https://tidewater.example/2026/11/19/marrow-sound-lock-gates-close",
)
_WIRE = Credit(
    name="Northern Wire",
    title="Ferries rerouted while Marrow Sound is dredged",
    url="https://wire.example/n/48812",
)
_GAZETTE = Credit(
    name="Estuary Gazette",
    title="What the closing means for the oyster beds",
    url="https://estuary.example/oysters?id=12&ref=feed",
)
_BULLETIN = Credit(
    name="University Bulletin", title="Slow light in a cold gas", url="https://bulletin.example/slow-light"
)
_COUNCIL = Credit(
    name="Council Notices", title="Minutes of 18 November", url="https://council.example/minutes/2026-11-18"
)
_BLOG = Credit(name="Letters from the Quay", title="Leave the night boat alone", url="https://quay.example/night-boat")

_WORLD = Page(
    desk="world",
    title="World",
    pieces=(
        _article(
            "a1b2c3d401",
            "Marrow Sound shuts its lock for eleven nights, and the ferries go the long way round",
            "Dredging begins on Monday. Freight pays most: the northern passage takes three hours more.",
            """The lock at Marrow Sound will close each night from Monday, for eleven nights in all. [1.1]
            Ships that cannot pass by eight in the evening must take the northern passage, which is 41 nautical miles longer. [1.3 2.2]
            The port authority says 214,000 tonnes of silt have gathered in the channel since the last dredging, in 2019. [1.4]
            Day traffic is not touched. [1.5]
            Two ferry lines have changed their timetables; a third has stopped its night service until the work is over. [2.1 2.4]
            Hauliers put the cost of each detour at between €3,000 and €4,500. [2.6]
            “We would rather lose eleven nights than a keel,” the harbour master, Ines Okafor, told the port’s own paper. [1.7]
            Oyster growers below the lock have asked that the silt be taken out to sea and not be let go over the beds. [3.2]
            The authority has promised to measure the water every six hours. [3.4]
            The last dredging took nine nights longer than planned. [1.9 3.5]""",
            _POST,
            _WIRE,
            _GAZETTE,
            importance="front",
        ),
        _article(
            "a1b2c3d402",
            "Three republics agree on one gauge for the Kestrel line",
            "A passenger will be able to go from the coast to the plateau without changing trains by 2031.",
            """Ministers of the three republics signed the treaty on Thursday in the old customs house at Vell. [1.1]
            The line now has two gauges and a stretch of 18 kilometres where goods are moved from train to train by hand. [1.2]
            Rebuilding it will cost 2.6 billion crowns, of which each signatory bears a third. [1.4]
            Work begins in spring at both ends. [1.5]
            The treaty leaves open who runs the trains. [1.8]""",
            Credit(name="Northern Wire", title="Kestrel line treaty signed", url="https://wire.example/n/48790"),
            importance="major",
        ),
        _article(
            "a1b2c3d403",
            "Rain ends the longest dry spell that Oranmere has on record",
            "After 163 days the reservoirs are filling; the ban on watering stays until December.",
            """It rained in Oranmere on Wednesday night for the first time in 163 days. [1.1 2.1]
            The weather service measured 22 millimetres, and as much again is forecast for the weekend. [1.2]
            The three reservoirs stood at 19 percent of their capacity the day before. [2.3]
            Farmers have lost about a third of the maize. [2.4]
            The ban on watering gardens stays in force until 1 December at the earliest. [1.6]""",
            Credit(name="Oranmere Daily", title="Rain!", url="https://oranmere.example/rain"),
            Credit(name="Plain Farmer", title="What the drought has cost", url="https://farmer.example/drought"),
        ),
        Piece(
            id="a1b2c3d404",
            form="brief",
            headline="Election commission of Sarn counts the island votes by hand",
            summary="The commission said the machines on two islands had been stored in a damp cellar. A result is expected on Saturday evening.",
            credits=(
                Credit(
                    name="Sarn Public Radio",
                    title="Island votes to be counted by hand",
                    url="https://sarn.example/votes",
                ),
            ),
            note="a sentence could not be supported by its source",
        ),
        Piece(
            id="a1b2c3d405",
            form="brief",
            headline="ميناء المرفأ القديم يفتح أبوابه للزوار بعد ترميم دام عامين",
            summary="أعلنت البلدية أن الميناء القديم سيستقبل الزوار ابتداء من يوم السبت، وأن الدخول سيكون مجانيا حتى نهاية العام.",
            credits=(
                Credit(name="صحيفة المرفأ", title="الميناء القديم يفتح أبوابه", url="https://marfa.example/ar/port"),
            ),
            note="the writer did not answer in time",
        ),
    ),
)
_SCIENCE = Page(
    desk="science",
    title="Science and Medicine",
    pieces=(
        _article(
            "a1b2c3d406",
            "Light stands still for a full minute in a cloud of cold atoms",
            "The record stood at sixteen seconds. The trick is a magnetic field that knows when to let go.",
            """A group at the university has held a pulse of light in a cloud of rubidium for 62 seconds. [1.1]
            The earlier record, of 2013, was sixteen seconds in such a gas. [1.3]
            The atoms are cooled to within four millionths of a degree of absolute zero. [1.4]
            A field shaped like a saddle keeps them from touching the walls, where the memory is lost. [1.5]
            “Most of our work was finding out which of the magnets hummed,” said Tomasz Wrede, who led the measurements. [1.8]
            Such a store could let networks wait for one another without losing what they carry. [1.10]
            The paper has been reviewed and appears next month. [1.12]""",
            _BULLETIN,
            importance="front",
        ),
        _article(
            "a1b2c3d407",
            "An old heart drug makes a common antibiotic work again, in mice",
            "Nobody should take the two together yet, its authors say.",
            """Digitonal, sold since the 1970s against an irregular heartbeat, has made resistant bacteria sensitive to a common antibiotic again. [1.1]
            The effect was seen in 38 of 40 mice. [1.3]
            It blocks a pump with which the bacteria throw the antibiotic out. [1.4]
            The doses were about nine times as high as those given to people. [1.6]
            A trial with volunteers is to begin in the autumn of 2027 at the earliest. [1.9]""",
            Credit(
                name="Ward Round",
                title="Heart drug reverses resistance in mice",
                url="https://ward.example/2026/digitonal",
            ),
        ),
        Piece(
            id="a1b2c3d408",
            form="headline",
            headline="Comet 2026 V3 can be seen with the naked eye until Sunday",
            credits=(Credit(name="Skywatch", title="Comet 2026 V3", url="https://sky.example/2026-v3"),),
            note="the desk was full",
        ),
        Piece(
            id="a1b2c3d409",
            form="headline",
            headline="Two more laboratories repeat the Hallam result",
            credits=(
                Credit(
                    name="University Bulletin", title="Hallam result repeated", url="https://bulletin.example/hallam"
                ),
            ),
        ),
    ),
)
_TOWN = Page(
    desk="town",
    title="Town",
    pieces=(
        _article(
            "a1b2c3d410",
            "Council buys the rope works, by one vote",
            "The hall is to be a library, a market and a night shelter. The price is 4.2 million.",
            """The council voted 16 to 15 on Wednesday to buy the rope works in Cable Street for 4.2 million. [1.2]
            The hall has stood empty since 2008. [1.3]
            The plan puts a library on the upper floor, a covered market below, and a shelter with 40 beds in the yard wing. [1.5 1.6]
            The opposition called the sum “a leap in the dark with somebody else’s lamp”. [1.9]
            The roof must be mended before next winter; nobody has yet said what that will cost. [1.11]""",
            _COUNCIL,
            importance="major",
        ),
        _article(
            "a1b2c3d411",
            "Leave the night boat alone",
            "A columnist argues that what runs empty at two in the morning is what a town is for.",
            """The writer of “Letters from the Quay” wants the night boat kept, though it carries eleven people on an average trip. [1.1 1.2]
            Nurses, bakers and those who have missed everything else are on it, she writes. [1.4]
            She holds that a service that only runs when it is full is an excursion. [1.6]
            The line says each crossing costs it 380 more than it takes. [1.7]""",
            _BLOG,
            opinion=True,
        ),
    ),
)
_CULTURE = Page(
    desk="culture",
    title="Books, Stage and Sound",
    pieces=(
        _article(
            "a1b2c3d412",
            "A lost quartet is found inside a cello",
            "A repairer took the back off, and found four pages of 1891 used as lining.",
            """Four pages in the hand of Marta Lindqvist lined a cello that came in for repair in October. [1.1]
            They hold the slow movement of a quartet that was known only from a letter. [1.2]
            “I thought it was wallpaper,” said the repairer, Jo Farrant. [1.4]
            The pages go to the conservatory, where they will be played in March. [1.6]
            How they came to be in the cello nobody knows. [1.9]""",
            Credit(name="Stage and String", title="The quartet in the cello", url="https://stage.example/quartet"),
        ),
        _article(
            "a1b2c3d413",
            "The smallest theatre in the country plays its last night",
            "Nineteen seats, forty years, and a queue round the corner at the end.",
            """The Thimble closes on Saturday after forty years. [1.1]
            It has nineteen seats and has sold out every night since the closing was made known. [1.2 1.3]
            Its founder, who is 84, plays the ghost. [1.5]
            The house has been bought by a dentist. [1.8]""",
            Credit(name="Stage and String", title="Last night at the Thimble", url="https://stage.example/thimble"),
        ),
        Piece(
            id="a1b2c3d414",
            form="brief",
            headline="Prize for a dictionary of sea words",
            summary="The jury praised eleven years of listening. The dictionary holds 7,400 words for water, weather and what they do to people.",
            credits=(Credit(name="Page & Margin", title="Dictionary wins prize", url="https://margin.example/prize"),),
            note="two writers in turn did not answer in time",
        ),
    ),
)


def _days(values: list[float]) -> tuple[Point, ...]:
    first = DATE - dt.timedelta(days=len(values) - 1)
    return tuple(Point(at=str(first + dt.timedelta(days=n)), value=value) for n, value in enumerate(values))


CHARTS = (
    Chart(id="calls", title="Calls a day", form="bars", unit="calls", points=_days([1180, 1242, 990, 1310, 1405, 1288, 1204]), note="The ledger’s attempts of this paper, by day"),
    Chart(id="cost", title="Cost of an article", form="line", unit="cents", points=_days([1.42, 1.38, 1.51, 1.3, 1.12, 1.08, 0.97]), note="All calls of an edition over its articles"),
    Chart(
        id="failed",
        title="Failed calls by provider",
        form="bars",
        unit="calls",
        points=(
            Point(at="groq", value=41),
            Point(at="openrouter", value=29),
            Point(at="mistral", value=12),
            Point(at="gemini", value=3),
            Point(at="a-local-machine-with-a-long-name", value=0),
        ),
        note="Of the last seven days",
    ),
)  # fmt: skip


def _at(hour: int, minute: int) -> dt.datetime:
    return dt.datetime(2026, 11, 20, hour, minute, tzinfo=dt.UTC)


COLOPHON = Colophon(
    steps=(
        StepLine(step="merge", job=f"{_HAND}MERG", items=23, decided=23, said="in time"),
        StepLine(step="sort", job=f"{_HAND}SORT", items=187, decided=187, said="in time"),
        StepLine(step="write:world", job=f"{_HAND}WRWO", items=5, decided=4, said="at its deadline"),
        StepLine(step="check:world", job=f"{_HAND}CHWO", items=4, decided=4, said="in time"),
        StepLine(step="rewrite:world", job=f"{_HAND}REWO", items=1, decided=1, said="in time"),
        StepLine(step="recheck:world", job=f"{_HAND}RCWO", items=1, decided=1, said="in time"),
        StepLine(step="write:science", job=f"{_HAND}WRSC", items=2, decided=2, said="in time"),
        StepLine(step="lead", job=f"{_HAND}LEAD", items=1, decided=1, said="in time"),
    ),
    hands=(
        Hand(deployment="groq/llama-3.3-70b-versatile", step="write", calls=31, failed=6, input_tokens=88_214, output_tokens=14_020, cost_usd=0.0612),
        Hand(deployment="mistral/mistral-medium-latest", step="check", calls=26, failed=1, input_tokens=71_006, output_tokens=3_911, cost_usd=0.0361),
        Hand(deployment="gemini/gemini-2.5-flash", step="check", calls=22, failed=0, input_tokens=60_480, output_tokens=3_204, cost_usd=0.0189),
        Hand(deployment="openrouter/qwen-2.5-7b-instruct:free", step="sort", calls=61, failed=9, input_tokens=140_300, output_tokens=2_288, cost_usd=0.0),
        Hand(deployment="local/mistral-small", step="sort", calls=40, failed=0, input_tokens=96_111, output_tokens=1_702, cost_usd=None),
    ),
    weather=(
        Weather(provider="groq", kind="rate_limit", count=6),
        Weather(provider="openrouter", kind="timeout", count=7),
        Weather(provider="openrouter", kind="server_error", count=2),
        Weather(provider="mistral", kind="unparsable", count=1),
    ),
    feeds=(
        FeedReport(feed="The Tidewater Post", state="read", articles=41),
        FeedReport(feed="Northern Wire", state="read", articles=88),
        FeedReport(feed="Sarn Public Radio", state="kept", articles=20, said="HTTP 503, twice"),
        FeedReport(feed="Skywatch", state="unchanged", articles=12),
        FeedReport(feed="Plain Farmer", state="failed", articles=0, said="no feed: the answer is an HTML page"),
    ),
    dropped=(
        Dropped(what="a sentence of “Council buys the rope works, by one vote”", why="its number is not in the sentence it cites", step="check:town", job=f"{_HAND}CHTO"),
        Dropped(what="Island votes to be counted by hand", why="a second model found no support for two sentences, and again after a rewrite", step="recheck:world", job=f"{_HAND}RCWO"),
        Dropped(what="Ten gadgets you will want this winter", why="an advertisement", step="sort", job=f"{_HAND}SORT"),
    ),
    calls=180,
    votes=412,
    input_tokens=456_111,
    output_tokens=25_125,
    cost_usd=0.1162,
    unpriced_calls=40,
    opened_at=_at(4, 0),
    made_at=_at(4, 42),
    deadline_at=_at(5, 0),
)  # fmt: skip

NARRATIVE = Narrative(
    headline="A lock closes, a record stands still, and a town buys a roof it must first mend",
    sentences=_claims(
        """From Monday the ships of Marrow Sound will learn what they owe to a door that is usually open. [a1b2c3d401.1]
        For eleven nights the lock stays shut while 214,000 tonnes of silt are lifted out of the channel, and whoever comes after eight in the evening goes 41 nautical miles round. [a1b2c3d401.2 a1b2c3d401.3]
        The oyster growers below it have asked where all that silt is to go. [a1b2c3d401.8]
        Further inland, three republics have agreed that their trains shall be as wide as one another. [a1b2c3d402.1]
        It is a small sentence that costs 2.6 billion crowns. [a1b2c3d402.3]
        At the university light has been kept waiting for 62 seconds, and was let go unharmed. [a1b2c3d406.1]
        The town has shown less patience: by one vote it has bought the rope works, and with them a roof that must be mended before next winter. [a1b2c3d410.1 a1b2c3d410.5]
        And in a cello that came in for repair there was music that nobody had heard since 1891. [a1b2c3d412.1 a1b2c3d412.2]"""
    ),
    writer="gemini/gemini-2.5-pro",
    checkers=("mistral/mistral-medium-latest",),
    jobs=(f"{_HAND}LEAD", f"{_HAND}LCHK"),
)

FIGURES = (
    Figure(id="items", name="Items decided", value=48_213, shown="48,213", before=44_870),
    Figure(id="accepted", name="Answers accepted", value=0.874, shown="87.4 %", before=0.861),
    Figure(id="cost", name="Spent", value=3.4127, shown="$3.41", before=4.02),
    Figure(id="drills", name="Drills", value=2, shown="2"),
)


def daily(**changes: object) -> Edition:
    values: dict[str, object] = {
        "paper": "lantern",
        "title": "The Harbour Lantern",
        "motto": "Seen by night, read by day",
        "language": "en",
        "kind": "daily",
        "date": DATE,
        "narrative": NARRATIVE,
        "pages": (_WORLD, _SCIENCE, _TOWN, _CULTURE),
        "charts": CHARTS,
        "colophon": COLOPHON,
    }
    return Edition.model_validate(values | changes)


def bulletin() -> Edition:
    """Nobody could be asked."""
    pages = tuple(
        page.model_copy(
            update={
                "pieces": tuple(
                    Piece(id=piece.id, form="headline", headline=piece.headline, credits=piece.credits)
                    for piece in page.pieces
                )
            }
        )
        for page in (_WORLD, _SCIENCE, _TOWN, _CULTURE)
    )
    colophon = COLOPHON.model_copy(update={"hands": (), "dropped": (), "calls": 0, "votes": 0, "cost_usd": 0.0})
    return daily(narrative=None, pages=pages, charts=(), bulletin=True, late=True, colophon=colophon)


def weekly() -> Edition:
    pages = tuple(
        Page(desk=page.desk, title=page.title, pieces=tuple(p for p in page.pieces if p.form == "article"))
        for page in (_WORLD, _TOWN)
    )
    return daily(kind="weekly", pages=pages, figures=FIGURES, run=2)


def growth() -> Edition:
    narrative = Narrative(
        headline="More was decided for less",
        sentences=_claims(
            """The yard decided 48,213 items this week, after 44,870 the week before. [items.1]
            It spent $3.41. [cost.1]
            Of the answers whose fate is known 87.4 % were accepted. [accepted.1 accepted.2]
            Two drills were held. [drills.1]"""
        ),
        writer="groq/llama-3.3-70b-versatile",
    )
    return daily(kind="growth", narrative=narrative, pages=(), figures=FIGURES)
