"""A sample of random questions; `make test-random` asks thousands."""

from __future__ import annotations

import random_questions


def test_random_questions_have_the_rows_of_metricflows_own_statements(shop):
    differences = []
    asker = random_questions.Asker(shop, "shop")
    counts = random_questions.run([asker], 20, 7, differences.append)
    assert differences == []
    assert counts["shop", "equal"] > 12


def test_a_run_that_was_stopped_goes_on_where_it_was(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(random_questions, "PART", 2)
    asker, file = random_questions.Asker(shop, "shop"), tmp_path / "parts.jsonl"
    begun = random_questions.in_parts([asker], 6, 7, file)
    first = next(begun)
    begun.close()
    again = list(random_questions.in_parts([asker], 6, 7, file))
    assert [was_known for _, _, was_known in again] == [True, False, False]
    assert again[0][:2] == first[:2]
    assert sum(counts.total() for _, counts, _ in again) == 6
    other = random_questions.recorded(file, 8, ["shop"])
    assert (len(random_questions.recorded(file, 7, ["shop"])), other) == (3, {})
