"""Publishing out of the ledger: what is where, who is told, what is tried again, and who is never told twice."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import Engine

from app.ledger import editions, publications
from app.newspaper.edition import Chart, Colophon, Credit, Edition, Figure, Narrative, Page, Piece, Point
from app.newspaper.material import Claim
from app.newspaper.paper import Paper
from app.newspaper.setting.listed import listed
from app.publishing.configured import names
from app.publishing.webhook import WebhookTarget
from app.services.press.publishing import Published, Publisher, message_id, retry_at
from tests.integration.printed import MADE_AT, an_edition
from tests.integration.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver
from tests.integration.small_yard import until

DAY = dt.date(2026, 11, 20)
MINUTE = dt.timedelta(minutes=1)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Newsroom:
    """A paper, its ledger, and the servers it is published to."""

    def __init__(self, engine: Engine, base: Path, hook: HttpReceiver, mail: MailReceiver, s3: HTTPServer) -> None:
        self.engine, self.base, self.hook, self.mail, self.s3 = engine, base, hook, mail, s3
        self.publish: dict[str, Any] = {}
        self.environ = {
            "HOOK_URL": f"{hook.url}/hook/hunter2",
            "HOOK_SECRET": SECRET,
            "SMTP_URL": f"smtp://user:hunter2@127.0.0.1:{mail.port}",
            "AWS_ACCESS_KEY_ID": "AKIDHUNTER2",
            "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
        }
        self.publisher = Publisher(engine, self.environ, allow_private=True)

    def to(self, *where: str, recipients: int = 2) -> None:
        everywhere: dict[str, Any] = {
            "bucket": {"name": "paper", "endpoint": f"http://127.0.0.1:{self.s3.port}"},
            "webhook": {"url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"},
            "mail": {
                "smtp_env": "SMTP_URL",
                "sender": "news@example.com",
                "to": [f"reader{n}@example.com" for n in range(1, recipients + 1)],
            },
        }
        self.publish |= {"url": "https://news.example"} | {name: everywhere[name] for name in where}

    @property
    def paper(self) -> Paper:
        return Paper.model_validate(
            {
                "title": "The Test",
                "desk": [{"name": "world", "title": "World", "description": "the world"}],
                "feed": [{"name": "a", "path": "a.xml"}],
                "publish": self.publish,
            }
        )

    def made(self, date: dt.date = DAY, kind: str = "daily", run: int = 1, **more: Any) -> editions.Opened:
        """An edition as the press room leaves it."""
        edition_id = editions.open_edition(
            self.engine,
            paper="paper",
            kind=kind,
            date=date,
            run=run,
            settings=self.paper.model_dump(mode="json"),
            base=str(self.base),
            specimen=False,
            late=False,
            opened_at=MADE_AT - 60 * MINUTE,
            deadline_at=MADE_AT,
        )
        assert edition_id is not None
        document = an_edition(date=date, kind=kind, run=run, **more).model_dump(mode="json")
        assert editions.finish(self.engine, edition_id, document, [], names(self.paper), MADE_AT)
        return editions.edition(self.engine, edition_id)

    def out(self, edition: editions.Opened, after: dt.timedelta = dt.timedelta()) -> Published:
        return self.publisher.publish(edition, MADE_AT + after)

    def state(self, edition: editions.Opened) -> dict[str, str]:
        found = publications.publish_state(self.engine, edition.id)
        return {
            target: "done" if done else "given up" if given_up else f"{tries} tries"
            for target, tries, _, given_up, done in found
        }

    def in_folder(self) -> set[str]:
        return {path.name for path in (self.base / "editions").iterdir() if path.is_dir()}

    def in_index(self, text: str | None = None) -> set[str]:
        """The editions that the index names."""
        found = text if text is not None else (self.base / "editions" / "index.html").read_text()
        return set(re.findall(r"\b\d{4}-\d\d-\d\d(?:-weekly|-growth)?(?=/)", found))


@pytest.fixture
def room(ledger: Engine, tmp_path: Path, httpserver: HTTPServer) -> Iterator[Newsroom]:
    httpserver.expect_request(re.compile("/.*")).respond_with_data("")
    with http_receiver() as hook, mail_receiver() as mail:
        yield Newsroom(ledger, tmp_path, hook, mail, httpserver)


def test_an_edition_goes_everywhere_once(room: Newsroom) -> None:
    room.to("bucket", "webhook", "mail")
    edition = room.made()
    found = room.out(edition)
    assert found.published
    assert [sent.target for sent in found.sent] == ["folder", "bucket", "webhook", "mail:1", "mail:2"]
    assert all(sent.said is None for sent in found.sent)
    assert room.in_folder() == room.in_index() == {"2026-11-20"}
    stored = json.loads((room.base / "editions/2026-11-20/edition.json").read_bytes())
    assert stored == an_edition().model_dump(mode="json")
    assert {mail["Message-ID"] for mail in room.mail.mails} == {"<paper-daily-2026-11-20-1@example.com>"}
    assert [mail["To"] for mail in room.mail.mails] == ["reader1@example.com", "reader2@example.com"]
    assert room.hook.got[0].headers["webhook-id"] == "paper-daily-2026-11-20-1" == message_id(edition)
    requests = len(room.s3.log)
    assert room.out(edition, MINUTE) == Published(published=True)
    assert (len(room.mail.mails), len(room.hook.got), len(room.s3.log)) == (2, 1, requests), "told again"
    assert editions.edition(room.engine, edition.id).published_at == MADE_AT


def test_an_index_names_only_what_is_there(room: Newsroom) -> None:
    """Also while others are made, in the folder as in the bucket."""
    room.to("bucket")
    daily, weekly = room.made(), room.made(kind="weekly")
    earlier = room.made(dt.date(2026, 11, 19))
    seen = []
    for edition in (weekly, earlier, daily):
        assert room.out(edition).published
        assert room.in_index() == room.in_folder()
        index = next(request for request, _ in reversed(room.s3.log) if request.path == "/paper/index.html")
        put = {request.path.split("/")[2] for request, _ in room.s3.log if request.path.count("/") > 2}
        assert room.in_index(index.get_data(as_text=True)) == put
        seen.append(room.in_index())
    assert seen == [{"2026-11-20-weekly"}, {"2026-11-20-weekly", "2026-11-19"},
                    {"2026-11-20-weekly", "2026-11-19", "2026-11-20"}]  # fmt: skip


def test_a_folder_elsewhere_has_an_index_of_its_own(room: Newsroom) -> None:
    assert room.out(room.made(dt.date(2026, 11, 19))).published
    room.publish["folder"] = "moved"
    assert room.out(room.made()).published
    assert room.in_index((room.base / "moved/index.html").read_text()) == {"2026-11-20"}
    assert room.in_index() == {"2026-11-19"}


def test_a_folder_that_was_moved_keeps_its_editions_and_one_that_was_taken_out_is_not_named(room: Newsroom) -> None:
    for day in (17, 18, 19):
        assert room.out(room.made(dt.date(2026, 11, day))).published
    (room.base / "editions").rename(room.base / "moved")
    shutil.rmtree(room.base / "moved/2026-11-18")
    room.publish["folder"] = "moved"
    assert room.out(room.made()).published
    index = (room.base / "moved/index.html").read_text()
    assert room.in_index(index) == {"2026-11-17", "2026-11-19", "2026-11-20"}


def test_another_bucket_has_an_index_of_its_own(room: Newsroom) -> None:
    room.to("bucket")
    assert room.out(room.made(dt.date(2026, 11, 19))).published
    room.publish["bucket"]["prefix"] = "moved"
    assert room.out(room.made()).published
    request, _ = room.s3.log[-1]
    assert request.path == "/paper/moved/index.html"
    assert room.in_index(request.get_data(as_text=True)) == {"2026-11-20"}


def pieces(*headlines: str) -> tuple[Piece, ...]:
    credit = Credit(name="Daily", title="T", url="https://example.com/x")
    said = (Claim(text="A sentence.", cites=("1.1",)),) * 3
    return tuple(
        Piece(id=f"p{n}", form="article", headline=each, summary=f"Of {each}.", sentences=said, credits=(credit,))
        for n, each in enumerate(headlines)
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"pages": ()},
        {"pages": (Page(desk="a", title="A", pieces=()), Page(desk="b", title="B", pieces=pieces("1", "2")),
                   Page(desk="c", title="C", pieces=pieces("3", "4", "5", "6", "7", "8")))},
        {"pages": (Page(desk="a", title="A", pieces=pieces("1", "2", "3", "4", "5", "6")),)},
        {"narrative": Narrative(headline="The day", sentences=(Claim(text="One.", cites=("p1.1",)),) * 5)},
        {"kind": "growth", "pages": (), "figures": (Figure(id="calls", name="Calls", value=7, shown="7"),),
         "charts": (Chart(id="c", title="Calls", form="bars", points=(Point(at="Mon", value=1),)),)},
        {"specimen": True, "bulletin": True, "late": True, "run": 2, "colophon": Colophon()},
    ],
)  # fmt: skip
def test_the_ledger_gives_an_index_all_that_it_tells_of_an_edition(room: Newsroom, more: dict[str, Any]) -> None:
    earlier = room.made(**more)
    (line,) = publications.lines(room.engine, [earlier.id])
    assert listed(Edition.model_validate(line)) == listed(an_edition(**more))


def test_the_index_lists_as_many_as_the_paper_says(room: Newsroom) -> None:
    room.publish["keep"] = 2
    for day in (18, 19, 20):
        assert room.out(room.made(dt.date(2026, 11, day))).published
    assert room.in_index() == {"2026-11-19", "2026-11-20"}
    assert room.in_folder() == {"2026-11-18", "2026-11-19", "2026-11-20"}, "earlier editions are kept"


def test_the_webhook_waits_for_the_address_it_tells_and_the_letter_for_nobody(room: Newsroom) -> None:
    room.to("bucket", "webhook", "mail")
    room.s3.clear()
    room.s3.expect_request(re.compile("/.*")).respond_with_data("", status=503)
    edition = room.made()
    assert not room.out(edition).published
    assert room.state(edition) == {
        "folder": "done", "bucket": "1 tries", "webhook": "0 tries", "mail:1": "done", "mail:2": "done",
    }  # fmt: skip
    room.s3.clear()
    room.s3.expect_request(re.compile("/.*")).respond_with_data("")
    assert room.out(edition, MINUTE / 2).sent == (), "before its time"
    assert room.out(edition, MINUTE).published
    assert (len(room.hook.got), len(room.mail.mails)) == (1, 2)


def test_a_recipient_that_is_refused_costs_nobody_else_a_second_letter(room: Newsroom) -> None:
    room.to("mail", recipients=3)
    edition = room.made()
    room.mail.refuse = b"451 later"
    room.out(edition)
    assert room.state(edition) == {"folder": "done", "mail:1": "1 tries", "mail:2": "1 tries", "mail:3": "1 tries"}
    room.mail.refuse = None
    room.publish["mail"]["to"] = []  # the paper as it was when the edition was opened is what counts
    assert room.out(edition, MINUTE).published
    assert [mail["To"] for mail in room.mail.mails] == [f"reader{n}@example.com" for n in (1, 2, 3)]


def test_a_relay_that_fails_in_the_middle_is_asked_only_for_those_it_has_not_had(room: Newsroom) -> None:
    room.to("mail", recipients=4)
    edition = room.made()

    class Two(list):  # type: ignore[type-arg]
        """A relay that refuses everybody after two letters."""

        def append(self, mail: object) -> None:
            super().append(mail)
            if len(self) == 2:
                room.mail.refuse = b"452 too many"

    room.mail.mails = Two()
    room.out(edition)
    assert len(room.mail.mails) == 2
    room.mail.refuse = None
    assert room.out(edition, MINUTE).published
    assert [mail["To"] for mail in room.mail.mails] == [f"reader{n}@example.com" for n in (1, 2, 3, 4)]


def test_what_takes_long_is_put_off_until_the_next_look(room: Newsroom) -> None:
    room.to("mail", recipients=2)
    hurried = Publisher(room.engine, room.environ, allow_private=True, enough_s=0)
    edition = room.made()
    looks = [hurried.publish(edition, MADE_AT) for _ in range(3)]
    assert [[sent.target for sent in look.sent] for look in looks] == [["folder"], ["mail:1"], ["mail:2"]]
    assert [look.published for look in looks] == [False, False, True]


def test_what_is_refused_for_good_is_given_up_and_the_edition_is_published(room: Newsroom) -> None:
    room.to("webhook", "mail", recipients=1)
    room.hook.answers = [(410, {})]
    room.mail.refuse = b"550 nobody"
    edition = room.made()
    found = room.out(edition)
    assert found.published
    assert room.state(edition) == {"folder": "done", "webhook": "given up", "mail:1": "given up"}
    assert [sent.given_up for sent in found.sent] == [False, True, True]


def test_the_folder_is_tried_for_a_day(room: Newsroom) -> None:
    (room.base / "editions").mkdir()
    (room.base / "editions/thesis.tex").touch()
    edition = room.made()
    now, tries = dt.timedelta(), 0
    waits = []
    while not (found := room.out(edition, now)).published:
        tries += len(found.sent)
        with room.engine.begin() as connection:
            row = connection.exec_driver_sql("SELECT next_at FROM publications").scalar_one()
        waits.append((row - MADE_AT - now) / MINUTE)
        now = row - MADE_AT
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(waits[7:]) == {60}
    assert dt.timedelta(hours=22) < now <= dt.timedelta(hours=24)
    assert room.state(edition) == {"folder": "given up"}
    assert "not made by switchyard press" in (found.sent[0].said or "")


@pytest.mark.parametrize("tries", range(1, 30))
def test_a_try_is_never_planned_past_the_day_it_has(tries: int) -> None:
    for now in (MADE_AT, MADE_AT + dt.timedelta(hours=23, minutes=58), MADE_AT + dt.timedelta(hours=30)):
        again = retry_at(tries, MADE_AT, now)
        assert again is None or now < again <= min(now + 60 * MINUTE, MADE_AT + dt.timedelta(hours=24))
    assert retry_at(tries, MADE_AT, MADE_AT, final=True) is None


def test_a_reprint_takes_the_place_of_what_came_before(room: Newsroom) -> None:
    room.to("webhook")
    room.hook.answers = [(503, {})]
    first = room.made()
    assert not room.out(first).published
    second = room.made(run=2, motto="again")
    assert room.out(second).published
    stored = json.loads((room.base / "editions/2026-11-20/edition.json").read_bytes())
    assert (stored["run"], stored["motto"]) == (2, "again")
    page = (room.base / "editions/2026-11-20/index.html").read_text()
    assert re.search("reprint", page, re.IGNORECASE), "the page says so"
    found = room.out(first, 10 * MINUTE)
    assert found.published
    assert [(sent.target, sent.said) for sent in found.sent] == [("webhook", "a reprint took its place")]
    assert json.loads((room.base / "editions/2026-11-20/edition.json").read_bytes())["run"] == 2
    assert [got.headers["webhook-id"][-1] for got in room.hook.got] == ["1", "2"]
    assert room.in_index() == {"2026-11-20"}


def test_what_the_environment_lacks_may_be_set_within_the_day(room: Newsroom) -> None:
    room.to("webhook")
    address = room.environ.pop("HOOK_URL")
    edition = room.made()
    assert room.publisher.amiss(room.paper, room.base) == ["publish.webhook wants HOOK_URL in the environment"]
    assert not room.out(edition).published
    room.environ["HOOK_URL"] = address
    assert room.publisher.amiss(room.paper, room.base) == []
    assert room.out(edition, MINUTE).published


def test_a_fault_of_ours_at_one_target_keeps_the_edition_from_no_other(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("hunter2")

    room.to("webhook", "mail")
    edition = room.made()
    with monkeypatch.context() as patched:
        patched.setattr(WebhookTarget, "publish", broken)
        found = room.out(edition)
    assert room.state(edition) == {"folder": "done", "webhook": "1 tries", "mail:1": "done", "mail:2": "done"}
    said = next(sent.said for sent in found.sent if sent.target == "webhook")
    assert said is not None
    assert said.startswith("publishing failed: RuntimeError at test_publishing.py:") and "hunter2" not in said
    assert room.out(edition, MINUTE).published


def test_no_secret_is_in_a_row_a_log_or_an_answer(room: Newsroom, capfd: pytest.CaptureFixture[str]) -> None:
    room.to("bucket", "webhook", "mail")
    room.s3.clear()
    room.s3.expect_request(re.compile("/.*")).respond_with_data(
        "<Error><Code>AKIDHUNTER2</Code><Message>hunter2hunter2</Message></Error>", status=403
    )
    room.mail.refuse = b"451 hunter2"
    edition = room.made()
    found = room.out(edition)
    room.hook.answers = [(500, {})]
    room.s3.clear()
    room.s3.expect_request(re.compile("/.*")).respond_with_data("")
    later = room.out(edition, MINUTE)
    assert not later.published
    with room.engine.begin() as connection:
        rows = [
            str(tuple(row))
            for table in ("publications", "editions")
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
        ]
    out, err = capfd.readouterr()
    shown = f"{rows}{found}{later}{room.publisher!r}{out}{err}"
    assert "press.retry" in shown and "s3://paper" in shown
    assert "hunter2" not in shown.lower() and SECRET not in shown


PUBLISHER = """
import datetime as dt, os, sys
from sqlalchemy import create_engine
from app.ledger import editions, publications
from app.newspaper.edition import Chart, Colophon, Credit, Edition, Figure, Narrative, Page, Piece, Point
from app.newspaper.material import Claim
from app.services.press.publishing import Publisher
engine = create_engine(sys.argv[1])
found = Publisher(engine, os.environ, allow_private=True).publish(
    editions.edition(engine, int(sys.argv[2])), dt.datetime.fromisoformat(sys.argv[3]))
print("busy" if found.busy else found.published)
engine.dispose()
"""


def another(room: Newsroom, edition: editions.Opened, url: str) -> subprocess.Popen[str]:
    """A process that publishes it."""
    environ = {**os.environ, **room.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, url, str(edition.id), MADE_AT.isoformat()],
        stdout=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip


def test_several_processes_publish_one_edition_once(room: Newsroom, database_url: str) -> None:
    room.to("webhook", "mail", recipients=5)
    edition = room.made()
    processes = [another(room, edition, database_url) for _ in range(4)]
    answers = sorted(process.communicate(timeout=60)[0].split()[-1] for process in processes)
    assert "True" in answers and set(answers) <= {"True", "busy"}
    assert len(room.hook.got) == 1
    assert sorted(mail["To"] for mail in room.mail.mails) == [f"reader{n}@example.com" for n in range(1, 6)]
    assert room.in_folder() == room.in_index() == {"2026-11-20"}


def test_a_process_killed_while_a_receiver_is_asked_leaves_the_rest_to_the_next(
    room: Newsroom, database_url: str
) -> None:
    room.to("webhook", "mail", recipients=2)
    told = room.environ["HOOK_URL"]
    room.environ["HOOK_URL"] = f"{room.hook.url}/hang"
    edition = room.made()
    process = another(room, edition, database_url)
    until(lambda: room.hook.got)
    assert room.out(edition) == Published(published=False, busy=True), "one at a time"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    room.environ["HOOK_URL"] = told
    # The dead one's lock goes with its connection.
    found = until(lambda: (found := room.out(edition)) and not found.busy and found)
    assert found.published
    assert [sent.target for sent in found.sent] == ["webhook", "mail:1", "mail:2"], "the folder had it"
    assert len({got.headers["webhook-id"] for got in room.hook.got}) == 1, "the receiver may drop the double"
    assert len(room.mail.mails) == 2


def test_the_pdf_lies_beside_the_page_where_one_can_be_made(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.publishing.pdf import maker

    if maker() is None:
        pytest.skip("nothing here makes a PDF")
    room.publish["formats"] = ["html", "pdf"]
    assert room.out(room.made()).published
    assert (room.base / "editions/2026-11-20/edition.pdf").read_bytes().startswith(b"%PDF")
    assert "edition.pdf" in (room.base / "editions/2026-11-20/index.html").read_text()
    monkeypatch.setenv("PATH", str(room.base))
    if maker() is None:
        assert room.out(room.made(dt.date(2026, 11, 21))).published, "an edition appears without"
        assert not (room.base / "editions/2026-11-21/edition.pdf").exists()
        assert "edition.pdf" not in (room.base / "editions/2026-11-21/index.html").read_text()
