"""What was merged stays, whatever git did since; and where git cannot tell, that is said.

The projects here are a lock and records without a meaning: git is what is tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cadran.cli import main
from cadran.core.project import lock
from cadran.core.versions.mainline import merged_records
from cadran.errors import ProjectError

NOBODY = {
    "GIT_AUTHOR_NAME": "kim", "GIT_AUTHOR_EMAIL": "kim@example.com", "GIT_COMMITTER_NAME": "kim",
    "GIT_COMMITTER_EMAIL": "kim@example.com", "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_EDITOR": "true",
}  # fmt: skip


class Clone:
    """A clone of a project that has records."""

    def __init__(self, root):
        self.root = root

    def git(self, *words, fails=False):
        done = subprocess.run(
            ["git", "-C", str(self.root), *words],
            env=os.environ | NOBODY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert fails in {None, bool(done.returncode)}, done.stderr + done.stdout
        return done.stdout.strip()

    def record(self, kpi, version, text="as it was decided"):
        """Write a record and its entry in the lock, and commit both."""
        path = self.root / "versions" / kpi / f"v{version}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"kpi: {kpi}\nreason: {text}\n")
        locked = lock.read(self.root)
        seals = dict(locked[kpi].seals) if kpi in locked else {}
        locked[kpi] = lock.Locked(version, text, seals | {version: text})
        lock.write(self.root, locked)
        self.commit(f"{kpi} v{version}")

    def note(self, kpi, fingerprint):
        """Note in the lock how a KPI is written now, as `cadran bump --renew` does."""
        entry = lock.Locked(1, "h", {1: "s"}, fingerprint, [("model", "fct_orders")])
        lock.write(self.root, lock.read(self.root) | {kpi: entry})
        self.commit(f"{kpi} is as it was")

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def merged(self):
        return merged_records(self.root)


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """The main line: two KPIs with their first records."""
    monkeypatch.delenv("CADRAN_BASE", raising=False)
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    (tmp_path / "origin").mkdir()
    there = Clone(tmp_path / "origin")
    there.git("init", "-q", "-b", "main")
    there.record("revenue", 1)
    there.record("visits", 1)
    there.note("margin", "a")
    return there


@pytest.fixture
def clone(origin, tmp_path):
    """A clone of it, on a branch."""
    origin.git("clone", "-q", str(origin.root), str(tmp_path / "clone"))
    here = Clone(tmp_path / "clone")
    here.git("switch", "-qc", "work")
    return here


V1, V2 = "versions/revenue/v1.yml", "versions/revenue/v2.yml"


# Where git cannot tell ---------------------------------------------------------------------------


def test_outside_git_and_before_a_commit_nothing_is_merged_and_that_is_said(tmp_path, origin):
    (tmp_path / "none").mkdir()
    assert merged_records(tmp_path / "none").problem == "git knows no repository here"
    empty = Clone(tmp_path / "none")
    empty.git("init", "-q")
    assert "git knows no origin/HEAD" in empty.merged().problem
    assert not empty.merged().has_commits
    orphan = Clone(tmp_path / "orphan")
    origin.git("clone", "-q", str(origin.root), str(orphan.root))
    orphan.git("switch", "-q", "--orphan", "unborn")
    assert orphan.merged().problem == "nothing is committed on this branch yet"
    assert orphan.merged().has_commits  # so no record is written anew unseen


def test_a_clone_without_a_main_line_or_without_history_says_so(clone, origin, tmp_path):
    clone.git("remote", "set-head", "origin", "--delete")
    assert "git knows no origin/HEAD: fetch it" in clone.merged().problem
    clone.git("remote", "set-head", "origin", "main")
    assert not clone.merged().problem
    shallow = Clone(tmp_path / "shallow")
    origin.git("clone", "-q", "--depth", "1", f"file://{origin.root}", str(shallow.root))
    assert "the clone is shallow" in shallow.merged().problem
    shallow.git("fetch", "-q", "--unshallow")
    assert not shallow.merged().problem
    clone.git("switch", "-q", "--orphan", "other")
    clone.record("stock", 1)
    assert "have no commit in common" in clone.merged().problem


def test_a_main_line_of_another_name_is_that_of_the_pull_request_or_of_a_setting(
    clone, monkeypatch
):
    clone.git("remote", "set-head", "origin", "--delete")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert clone.merged().files == {V1, "versions/visits/v1.yml"}
    monkeypatch.setenv("CADRAN_BASE", "nowhere")
    assert "git knows no nowhere" in clone.merged().problem


# What becomes of merged records ------------------------------------------------------------------


def test_a_detached_head_is_held_against_the_main_line_as_a_branch_is(clone):
    clone.git("checkout", "-q", "--detach")
    (clone.root / V1).write_text("kpi: revenue\nreason: another one\n")
    assert clone.merged().altered == {V1}


@pytest.mark.parametrize("how", ["taken away", "moved", "folder moved"])
def test_a_record_that_is_not_where_it_was_merged_is_gone(clone, how):
    if how == "taken away":
        (clone.root / V1).unlink()
    elif how == "moved":
        clone.git("mv", "versions/revenue", "versions/turnover")
    else:
        clone.git("mv", "versions", "records")
    found = clone.merged()
    assert V1 in found.gone
    clone.git("checkout", "-q", found.gone[V1], "--", V1)
    assert V1 not in clone.merged().gone


def test_a_reverted_version_is_gone_also_when_the_revert_was_merged(clone, origin):
    origin.record("revenue", 2)
    clone.git("pull", "-q", "--rebase", "origin", "main")
    clone.git("revert", "--no-edit", "HEAD")
    assert list(clone.merged().gone) == [V2]
    origin.git("revert", "--no-edit", "HEAD")
    clone.git("fetch", "-q")
    clone.git("reset", "-q", "--hard", "origin/main")
    found = clone.merged()
    assert list(found.gone) == [V2]
    assert found.has(V2)
    clone.git("checkout", "-q", found.gone[V2], "--", V2)
    assert not clone.merged().gone


def test_a_project_that_moves_within_its_repository_is_held_against_where_it_was(clone):
    (clone.root / "analytics").mkdir()
    clone.git("mv", "versions", "kpi.lock", "analytics")
    (clone.root / "analytics" / "versions" / "visits" / "v1.yml").unlink()
    found = merged_records(clone.root / "analytics")
    assert found.files == {V1, "versions/visits/v1.yml"}
    assert list(found.gone) == ["versions/visits/v1.yml"]


def test_two_branches_that_both_write_a_second_version_are_told_before_git_tells_them(
    clone, origin
):
    clone.record("revenue", 2, "ours")
    assert not clone.merged().overtaken
    origin.record("revenue", 2, "theirs")
    clone.git("fetch", "-q")
    found = clone.merged()
    assert found.overtaken == {V2}
    assert V2 not in found.files  # so its approver is still looked at
    assert found.has(V2)
    # A squashed merge brings the branch's own record: the same one is no other.
    (clone.root / V2).write_text("kpi: revenue\nreason: theirs\n")
    assert not clone.merged().overtaken


def test_a_squashed_or_rebased_branch_goes_on_with_its_records_merged(clone, origin):
    clone.record("revenue", 2)
    origin.git("pull", "-q", "--squash", str(clone.root), "work")
    origin.commit("squashed")
    clone.git("fetch", "-q")
    squashed = clone.merged()
    assert squashed.has(V2)  # `--again` is refused, although the branch has not seen the merge
    assert not (squashed.altered | squashed.overtaken | squashed.gone.keys())
    clone.git("rebase", "-q", "origin/main")
    rebased = clone.merged()
    assert V2 in rebased.files
    assert not (rebased.altered | rebased.overtaken | rebased.gone.keys())


# The lock in a merge -----------------------------------------------------------------------------


def test_a_lock_with_conflict_markers_is_called_a_merge_conflict(clone, origin):
    _both_bump(clone, origin)
    clone.git("merge", "-q", "origin/main", fails=True)
    assert "<<<<<<<" in (clone.root / lock.FILE).read_text()
    for read in (lock.read, lambda root: lock.anchored(root / lock.FILE)):
        with pytest.raises(ProjectError, match="both sides of a merge conflict: `cadran bump --me"):
            read(clone.root)


def _both_bump(clone, origin, ours="visits", theirs="revenue"):
    """Two branches that bump, and both note another KPI, so that git alone cannot join them."""
    for there in (clone, origin):
        there.record(ours if there is clone else theirs, 2, there.root.name)
    clone.note("margin", "b")
    origin.note("margin", "c")
    clone.git("fetch", "-q")


@pytest.mark.parametrize("how", ["merge", "rebase", "driver"])
def test_both_sides_of_a_merge_are_joined_where_they_changed_other_kpis(clone, origin, how):
    _both_bump(clone, origin)
    if how == "driver":
        cadran = Path(sys.executable).with_name("cadran")
        clone.git("config", "merge.kpi-lock.driver", f"{cadran} bump --merge-lock %O %A %B")
        (clone.root / ".git/info/attributes").write_text("kpi.lock merge=kpi-lock\n")
        clone.git("merge", "-q", "--no-edit", "origin/main")
    else:
        clone.git(how, "-q", "origin/main", fails=True)
        for _ in range(2):  # a rebase stops at each commit that conflicts
            if lock.FILE in clone.git("diff", "--name-only", "--diff-filter=U"):
                assert main(["bump", "--merge-lock", "--project-dir", str(clone.root)]) == 0
                clone.git("add", "-A")
                clone.git("-c", "core.editor=true", how, "--continue", fails=None)
    locked = lock.read(clone.root)
    assert {kpi: entry.version for kpi, entry in locked.items()} == {
        "margin": 1, "revenue": 2, "visits": 2,
    }  # fmt: skip
    assert not locked["margin"].fingerprint  # so it is compared anew


def test_two_second_versions_take_the_main_lines_and_say_what_to_bump_again(clone, origin, capsys):
    _both_bump(clone, origin, ours="revenue")
    clone.git("merge", "-q", "origin/main", fails=True)
    assert main(["bump", "--merge-lock", "--project-dir", str(clone.root)]) == 1
    told = capsys.readouterr().err
    assert "`git checkout origin/HEAD -- versions/revenue`, then `cadran bump revenue`" in told
    assert lock.read(clone.root)["revenue"].hash == "origin"
    clone.git("checkout", "-q", "origin/HEAD", "--", "versions/revenue")
    clone.commit("merged")
    found = clone.merged()
    assert not (found.altered | found.overtaken | found.gone.keys())


@pytest.mark.parametrize(
    ("ours", "theirs", "joined"),
    [
        (None, {"post-hook of model m": "a"}, {"post-hook of model m": "a"}),
        ({"post-hook of model m": "a"}, None, {"post-hook of model m": "a"}),
        ({"post-hook of model m": "a"}, {"post-hook of model m": "b"}, None),
    ],
)
def test_what_one_side_alone_notes_beside_a_select_is_kept(tmp_path, ours, theirs, joined):
    def side(name, fingerprint, side_effects):
        entry = {"version": 1, "hash": "h", "seals": {"1": "s"}, "fingerprint": fingerprint}
        entry |= {"side_effects": side_effects} if side_effects else {}
        (tmp_path / name).write_text(json.dumps({"kpis": {"revenue": entry}}))
        return tmp_path / name

    sides = side("base", "a", None), side("ours", "b", ours), side("theirs", "c", theirs)
    left = lock.join_files(*sides)
    if joined is None:
        assert "revenue: both sides have an entry of their own" in left[0]
        return
    assert left == []
    entry = json.loads(sides[1].read_text())["kpis"]["revenue"]
    assert entry == {"version": 1, "hash": "h", "seals": {"1": "s"}, "side_effects": joined}


def test_of_two_ledgers_the_one_that_goes_on_from_the_other_is_taken(tmp_path):
    def ledger(batches):
        hashes = {n: f"{n:064d}" for n in range(1, batches + 1)}
        path = tmp_path / f"{batches}.lock"
        lock.anchor(path, hashes)
        return path

    base, ours, theirs = ledger(1), ledger(2), ledger(3)
    assert lock.join_files(base, ours, theirs) == []
    assert lock.anchored(ours).head.batch == 3
    other = json.loads(theirs.read_text())
    other["ledger"] |= {"head": "f" * 64, "batch": 4, "trail": {"3": "e" * 16}}
    theirs.write_text(json.dumps(other))
    [problem] = lock.join_files(base, ours, theirs)
    assert "the ledger: both sides have an entry of their own" in problem
    assert "<<<<<<<" in ours.read_text()
