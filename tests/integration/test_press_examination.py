"""``switchyard doctor`` where there is a newspaper."""

from __future__ import annotations

from pathlib import Path

from tests.integration.commands import Run

PAPER = """\
title = "The Elm Courier"
time_zone = "Pacific/Kiritimati"

[[desk]]
name = "town"
title = "Town"
description = "streets, bridges, buses"

[[feed]]
name = "The Bell"
path = "feeds/bell.xml"

"""


def findings(command: Run) -> dict[str, tuple[str, str]]:
    return {row["what"]: (row["state"], row["said"]) for row in command("doctor", "--json").json}


def test_doctor_says_what_is_amiss_with_the_newspaper(command: Run, tmp_path: Path) -> None:
    assert "newspaper" not in findings(command)
    path = tmp_path / "newspaper.toml"
    path.write_text(PAPER.replace("title", "titel", 1))
    state, said = findings(command)["newspaper"]
    assert state == "wrong"
    assert said.startswith("newspaper.toml:1: ")

    inner = '[[feed]]\nname = "Inner"\nurl = "http://127.0.0.1/feed"\n'
    hook = '[publish.webhook]\nurl_env = "PAPER_URL"\nsecret_env = "PAPER_SECRET"\n'
    path.write_text(PAPER + inner + hook)
    found = findings(command)
    assert found["newspaper"] == ("ok", "The Elm Courier: 1 desks, 2 feeds")
    assert found["next edition"][1].startswith("daily of ")
    assert found["next edition"][1].endswith("05:00 Pacific/Kiritimati")
    assert found["editions"] == ("ok", f"go to {tmp_path / 'editions'}")
    assert found["feed The Bell"] == ("warn", "its path cannot be read")
    assert found["feed Inner"] == ("warn", "its address is refused: loopback")
    assert ("wrong", "publish.webhook wants PAPER_URL and PAPER_SECRET in the environment") in [
        (row["state"], row["said"]) for row in command("doctor", "--json").json
    ]

    (tmp_path / "editions").touch()
    assert findings(command)["editions"][0] == "wrong"
