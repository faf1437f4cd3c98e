"""Files take their place whole, or not at all."""

from __future__ import annotations

import stat

import pytest

from cadran.formats import files


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "answer.csv"
    files.write(path, "old\n")
    with path.open(encoding="utf-8") as reader:
        files.write(path, b"new\n")
        assert reader.read() == "old\n"
    assert path.read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [path]


def half_written(path):
    with files.placing(path) as aside:
        aside.write_text("half", encoding="utf-8")
        raise ZeroDivisionError


def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "answer.csv"
    files.write(path, "old\n")
    with pytest.raises(ZeroDivisionError):
        half_written(path)
    assert path.read_text(encoding="utf-8") == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_never_readable_by_others(tmp_path):
    path = tmp_path / "tokens.json"
    with files.placing(path) as aside:
        files.write(aside, "{}", mode=0o600)
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_born_as_any_other_file(tmp_path):
    (tmp_path / "usual").touch()
    files.write(tmp_path / "placed", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "placed")}
    assert len(modes) == 1
