"""A sample of random questions; `make test-random` asks thousands."""

from __future__ import annotations

import random_questions


def test_random_questions_have_the_rows_of_metricflows_own_statements(shop):
    differences = []
    counts = random_questions.run([shop], 20, 7, differences.append)
    assert differences == []
    assert counts["equal"] > 12
