"""What publishing decides without a socket: paths, orders, names, and what it says of half a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper.paper import Paper
from app.newspaper.setting.bundle import Bundle, Letter
from app.publishing.bucket import BucketTarget
from app.publishing.configured import names, targets
from app.publishing.mail import address_of
from app.publishing.target import Unready, in_order, misplaced

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def bundled(name: str = "2026-11-20", files: tuple[str, ...] = (), front: tuple[str, ...] = ()) -> Bundle:
    return Bundle(name, dict.fromkeys(files, b"x"), dict.fromkeys(front, b"x"), Letter("", "", ""))


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../x", "/x", "a//x", "", ".", "..", ".hidden", "a/.git", "a\\b", "a\0b", "x\n", "a/", "é", "x" * 101],
)
def test_a_path_that_leads_elsewhere_is_refused_wherever_it_stands(path: str) -> None:
    assert misplaced(bundled(files=("index.html", path)))
    assert misplaced(bundled(front=(path,)))
    assert misplaced(bundled(name=path))


def test_the_paths_of_editions_will_do() -> None:
    assert (
        misplaced(bundled("2026-11-20-weekly", ("index.html", "charts/cost.svg"), ("index.html", "atom.xml"))) is None
    )


@pytest.mark.parametrize("front", ["2026-11-20/index.html", "2026-11-20"])
def test_the_front_reaches_into_no_edition(front: str) -> None:
    assert misplaced(bundled(front=(front,)))


@given(st.text(st.sampled_from("ab./\\\0-_ "), min_size=1, max_size=12))
def test_what_is_let_through_stays_within(path: str) -> None:
    if misplaced(bundled(files=(path,))) is None:
        place = Path("/folder/edition")
        assert (place / path).resolve().is_relative_to(place)
        assert not any(part.startswith(".") for part in Path(path).parts)


def test_a_page_comes_after_what_it_shows_and_the_index_last() -> None:
    assert in_order({"index.html": 1, "atom.xml": 1, "about.html": 1, "z.svg": 1}) == [
        "atom.xml", "z.svg", "about.html", "index.html",
    ]  # fmt: skip


def paper(**publish: Any) -> Paper:
    return Paper.model_validate(
        {
            "title": "The Test",
            "desk": [{"name": "world", "title": "World", "description": "the world"}],
            "feed": [{"name": "a", "path": "a.xml"}],
            "publish": publish,
        }
    )


EVERYWHERE = {
    "bucket": {"name": "paper", "endpoint": "https://s3.example.com"},
    "webhook": {"url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"},
    "mail": {"smtp_env": "SMTP_URL", "sender": "The Test <news@example.com>", "to": ["a@example.com", "b@example.com"]},
}
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIDHUNTER2",
    "AWS_SECRET_ACCESS_KEY": "hunter2-secret",
    "HOOK_URL": "https://hooks.example.com/hunter2/path",
    "HOOK_SECRET": SECRET,
    "SMTP_URL": "smtps://user:hunter2@mail.example.com",
}


def test_the_folder_is_first_and_each_recipient_a_target_of_its_own() -> None:
    assert names(paper()) == ["folder"]
    assert names(paper(**EVERYWHERE)) == ["folder", "bucket", "webhook", "mail:1", "mail:2"]
    found, amiss = targets(paper(**EVERYWHERE), Path("/base"), ENVIRON)
    assert [target.name for target in found] == names(paper(**EVERYWHERE))
    assert amiss == []
    assert [target.where for target in found] == [
        "/base/editions", "s3://paper at s3.example.com", "https://hooks.example.com/***",
        "smtps://mail.example.com:465", "smtps://mail.example.com:465",
    ]  # fmt: skip


def test_what_the_environment_lacks_is_said_once_and_no_target_is_lost() -> None:
    found, amiss = targets(paper(**EVERYWHERE), Path("/base"), {})
    assert [target.name for target in found] == names(paper(**EVERYWHERE))
    assert sorted(amiss) == [
        "publish.bucket wants AWS_ACCESS_KEY_ID in the environment",
        "publish.bucket wants AWS_SECRET_ACCESS_KEY in the environment",
        "publish.mail wants SMTP_URL in the environment",
        "publish.webhook wants HOOK_URL and HOOK_SECRET in the environment",
    ]
    untaken = found[2].publish(bundled(), "m")
    assert untaken is not None and untaken.said in amiss and not untaken.final, "somebody may set it within the day"


@pytest.mark.parametrize(
    ("publish", "environ", "said"),
    [
        ({}, {"HOOK_SECRET": "whsec_hunter2"}, "HOOK_SECRET must be whsec_"),
        ({}, {"SMTP_URL": "https://hunter2"}, "SMTP_URL must be smtp://"),
        ({}, {"SMTP_URL": "smtp://hunter2:port"}, "SMTP_URL is no URL"),
        (
            {"mail": {**EVERYWHERE["mail"], "to": ["a@example.com", "hunter2"]}},
            {},
            "publish.mail.to, the 2. one, is no",
        ),
        ({"mail": {**EVERYWHERE["mail"], "sender": "hunter2 <a@b>, c@d"}}, {}, "publish.mail.sender is no address"),
        ({"bucket": {"name": "paper", "endpoint": "http://hunter2.example"}}, {}, "endpoint must be https"),
        ({"bucket": {"name": "paper", "endpoint": "https://u:hunter2@s3.example"}}, {}, "keys go into the environment"),
        ({"bucket": {"name": "paper", "endpoint": "https://s3.example?hunter2"}}, {}, "holds a user, a password or"),
        ({"bucket": {"name": "paper", "endpoint": "s3.hunter2"}}, {}, "endpoint must be https://host"),
        ({"bucket": {"name": "paper", "prefix": "hunter2/../.."}}, {}, "prefix must be a path"),
    ],
)
def test_what_will_not_do_is_said_without_being_shown(
    publish: dict[str, Any], environ: dict[str, str], said: str
) -> None:
    found, amiss = targets(paper(**{**EVERYWHERE, **publish}), Path("/base"), {**ENVIRON, **environ})
    assert len(amiss) == 1 and said in amiss[0]
    assert "hunter2" not in amiss[0]
    assert sum(isinstance(target, Unready) for target in found) >= 1
    assert len(found) == 5


def test_no_target_shows_a_secret() -> None:
    found, _ = targets(paper(**EVERYWHERE), Path("/base"), ENVIRON)
    for target in found:
        shown = f"{target!r} {target.where} {target.name}"
        assert "hunter2" not in shown.lower() and SECRET not in shown and "a@example.com" not in shown


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "http://localhost:9000", "https://minio.example:9000"])
def test_an_endpoint_on_this_machine_needs_no_tls(endpoint: str) -> None:
    target = BucketTarget(paper(bucket={"name": "paper", "endpoint": endpoint, "prefix": "/a/b/"}).publish.bucket, {})  # type: ignore[arg-type]
    assert target.where == f"s3://paper/a/b at {endpoint.partition('://')[2]}"


@pytest.mark.parametrize(
    "line", ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d", "X <a@b> <c@d>", "<>", "é@example.com", "a b@c"]
)
def test_what_is_no_single_address_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        address_of(line)


def test_an_address_may_have_a_name() -> None:
    assert (address_of("a@b").addr_spec, address_of('"The Pöst, daily" <a@b>').display_name) == (
        "a@b",
        "The Pöst, daily",
    )
