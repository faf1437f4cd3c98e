"""An approval is proved by a signature or by a review that the main line demands, else unproved."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from test_mainline import Clone

from cadran.cli import main
from cadran.core.project import lock
from cadran.core.versions import record as versions
from cadran.core.versions.definition import CompiledQuery, Definition
from cadran.core.versions.evidence import Evidence, code_owners, statement
from cadran.errors import QueryError
from cadran.governance.approval import sign

OWNER, AUTHOR = "head.of.sales@example.com", "data@example.com"


class Team(Clone):
    """A project whose owner and whose author have keys; its main line is its branch main."""

    def __init__(self, root, keys):
        super().__init__(root)
        self.keys = keys

    def record(self, version=1, reason="Without tax."):
        question = CompiledQuery(("day",), (), "select 1 as revenue")
        record = versions.VersionRecord(
            kpi="revenue", version=version, effective_from=dt.date(2026, 1, 1), kind="policy",
            reason=reason, author=AUTHOR, approver=OWNER, restatement="none", hash="h",
            definition=Definition("revenue", (question,), {}), question_hashes=("h",),
        )  # fmt: skip
        path = versions.write(self.root, record)
        seals = {version: versions.seal(path)}
        lock.write(self.root, {"revenue": lock.Locked(version, "h", seals)})
        return versions.read(self.root, path)

    def settings(self, text):
        (self.root / "cadran_checks.yml").write_text(text)

    def signs(self, who):
        """Let git sign as somebody, by SSH."""
        self.git("config", "gpg.format", "ssh")
        self.git("config", "user.signingkey", str(self.keys / who))
        self.git("config", "user.email", who)
        self.git("config", "user.name", who)

    def approval(self, record):
        return Evidence(self.root).of(record)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for who in (OWNER, AUTHOR):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / who],
            check=True,
        )
    return folder


@pytest.fixture
def team(tmp_path, keys, monkeypatch):
    monkeypatch.setenv("CADRAN_BASE", "main")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    here = Team(tmp_path, keys)
    here.git("init", "-q", "-b", "main")
    here.settings("approvals: {signers: allowed_signers}\n")
    signers = (f"{who} {(keys / f'{who}.pub').read_text()}" for who in (OWNER, AUTHOR))
    (tmp_path / "allowed_signers").write_text("".join(signers))
    here.commit("settings")
    here.git("switch", "-qc", "work")
    return here


def test_a_typed_address_proves_nothing(team):
    approval = team.approval(team.record())
    assert approval.text == f"{OWNER} (unproved)"
    assert "nothing is signed, and no review is demanded" in approval.evidence


def test_a_tag_that_the_approver_signs_proves_it_until_the_record_is_another(team, capsys):
    record = team.record()
    team.commit("v1")
    team.signs(OWNER)
    assert main(["bump", "revenue", "--approve", "--project-dir", str(team.root)]) == 0
    assert f"approved/revenue/v1: {OWNER} (signed), tag " in capsys.readouterr().out
    # It names the record and no commit, so a squashed or rebased branch keeps it.
    team.git("commit", "-q", "--amend", "-m", "another commit")
    assert team.approval(record).state == "signed"
    assert team.approval(replace(record, approver=AUTHOR)).state == "unproved"
    assert team.approval(team.record(reason="With tax.")).state == "unproved"


def test_the_author_cannot_sign_as_the_approver(team):
    record = team.record()
    team.commit("v1")
    team.signs(AUTHOR)
    team.git("config", "user.email", OWNER)  # whoever git says it is
    _, approval = sign(team.root, "revenue")
    assert approval.state == "unproved"
    # Nor by a key that the branch brings along.
    (team.root / "allowed_signers").write_text(
        f"{OWNER} {(team.keys / f'{AUTHOR}.pub').read_text()}"
    )
    team.commit("my own key")
    assert team.approval(record).state == "unproved"
    team.git("config", "user.signingkey", str(team.keys / "nobody"))
    with pytest.raises(QueryError, match="Git does not sign the tag approved/revenue/v1"):
        sign(team.root, "revenue")


def test_a_commit_that_the_approver_signs_proves_it_as_well(team):
    record = team.record()
    team.signs(OWNER)
    team.git("add", "-A")
    team.git("commit", "-qm", f"Net of tax\n\n{statement(team.root, record)}")
    assert team.approval(record).state == "unproved"
    team.git("commit", "-S", "-q", "--amend", "--no-edit")
    approval = team.approval(record)
    assert (approval.state, approval.evidence[:7]) == ("signed", "commit ")


@pytest.mark.skipif(not shutil.which("gpg"), reason="needs GnuPG")
def test_a_gpg_key_counts_where_the_main_line_pins_it_to_the_approver(
    team, monkeypatch, tmp_path_factory
):
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    gpg = ["gpg", "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", OWNER, "ed25519", "sign", "never"], check=True)
    listing = subprocess.run(
        [*gpg, "--list-keys", "--with-colons"], check=True, capture_output=True, text=True
    ).stdout
    key = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
    record = team.record()
    team.commit("v1")
    for name, value in (("user.signingkey", key), ("user.email", OWNER), ("user.name", "jo")):
        team.git("config", name, value)
    try:
        assert "pins the GPG key" in sign(team.root, "revenue")[1].evidence
        team.git("switch", "-q", "main")
        team.settings(f"approvals: {{gpg: {{{OWNER}: {key}}}}}\n")
        team.commit("pinned")
        assert team.approval(record).state == "unproved"  # the record is on the other branch
        team.git("switch", "-q", "work")
        assert team.approval(record).evidence.endswith(f"GPG key {key}")
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True)


def test_a_review_that_the_main_line_demands_proves_what_was_merged_under_it(team):
    team.git("switch", "-q", "main")
    (team.root / "CODEOWNERS").write_text(f"* {AUTHOR}\n/versions/revenue/ {OWNER}\n")
    team.commit("owners")
    record = team.record()
    assert not team.approval(record).is_due  # nobody said that the main line demands reviews
    team.settings("approvals: {code_owners: true}\n")
    team.git("add", "cadran_checks.yml")
    team.git("commit", "-qm", "reviews are demanded")
    waiting = team.approval(record)
    assert (waiting.state, waiting.is_due) == ("unproved", True)
    team.commit("v1 merged")
    assert team.approval(record).state == "reviewed"
    assert team.approval(replace(record, approver=AUTHOR)).state == "unproved"
    # Owners who come to the file later reviewed nothing of what was merged before.
    second = team.record(2)
    (team.root / "CODEOWNERS").write_text(f"* {AUTHOR}\n")
    team.commit("v2 merged, with other owners")
    assert team.approval(second).state == "reviewed"
    third = team.record(3)
    team.commit("v3 merged")
    (team.root / "CODEOWNERS").write_text(f"* {OWNER}\n")
    team.commit("owners again")
    assert team.approval(third).state == "unproved"


def test_the_last_line_of_code_owners_that_names_a_file_counts():
    text = "# all\n* @all\n[Section]\nversions/ jo@example.com @sales # who\n/versions/x/v*.yml\n"
    assert code_owners(text, "kpi.lock") == ["@all"]
    assert code_owners(text, "versions/revenue/v1.yml") == ["jo@example.com", "@sales"]
    assert code_owners(text, "analytics/versions/revenue/v1.yml") == ["jo@example.com", "@sales"]
    assert code_owners(text, "versions/x/v1.yml") == []


def test_where_git_knows_no_main_line_nothing_is_proved(team, monkeypatch):
    record = team.record()
    team.commit("v1")
    team.signs(OWNER)
    assert sign(team.root, "revenue")[1].state == "signed"
    monkeypatch.setenv("CADRAN_BASE", "nowhere")
    assert "git knows no nowhere, which holds the keys" in team.approval(record).evidence
    assert Evidence(None).of(record).state == "unproved"
