"""KPIs about people: what is hidden, and that what is shown does not tell it."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections import Counter

import numpy as np
import pytest

import cadran
from cadran.access import suppression
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.core.query.request import Query, ask
from cadran.errors import NotAllowedError

JANUARY, FEBRUARY, MARCH = (dt.date(2026, month, 1) for month in (1, 2, 3))


def hidden(counts, least=5, time=None):
    width = len(next(iter(counts)))
    tables = suppression.Tables.of(counts, width, time)
    return suppression.hidden(tables, least)[tables.finest]


# On paper --------------------------------------------------------------------------------------


def test_nothing_is_hidden_where_every_cell_is_large_enough():
    assert hidden({("a",): 5, ("b",): 9}) == set()


def test_with_a_cell_that_is_too_small_the_next_smallest_is_hidden():
    assert hidden({("a",): 3, ("b",): 20, ("c",): 9}) == {("a",), ("c",)}


def test_two_small_cells_hide_each_other_if_they_are_enough_together():
    assert hidden({("a",): 3, ("b",): 2, ("c",): 9}) == {("a",), ("b",)}
    assert hidden({("a",): 3, ("b",): 1, ("c",): 9}) == {("a",), ("b",), ("c",)}


def test_a_small_cell_is_hidden_in_each_direction_of_a_table():
    counts = {(row, column): 10 for row in "abc" for column in "xyz"} | {("a", "x"): 2}
    found = hidden(counts)
    assert ("a", "x") in found
    for place in (0, 1):
        for value in {key[place] for key in found}:
            assert sum(key[place] == value for key in found) > 1


def test_a_small_day_takes_another_day_of_its_month_with_it():
    days = {(dt.date(2026, 1, day),): 10 for day in range(1, 32)}
    days |= {(dt.date(2026, 2, day),): 5 for day in range(1, 29)}
    days[dt.date(2026, 1, 7),] = 1
    found = hidden(days, time=(0, ["month"]))
    assert (dt.date(2026, 1, 7),) in found
    assert sum(day.month == 1 for (day,) in found) == 2


# In the shop -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(guarded):
    opened = cadran.open(manifest=guarded, database=guarded.parents[1] / "guarded.duckdb")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def gate():
    return PolicyGate()


def shown(gate, layer, *groups, **asked):
    question = Query.of({"metrics": ["satisfaction_rate"], "group_by": groups, **asked})
    allowed = gate.allow(Caller("somebody"), question, layer)
    found = layer.answer(allowed.query).to_arrow()
    table = gate.suppress(found, allowed, layer)
    assert table.schema == found.schema
    return {tuple(row.values())[:-1]: row["satisfaction_rate"] for row in table.to_pylist()}


def test_a_value_of_few_answers_is_hidden_with_the_next_smallest(gate, full):
    # 120, 60, 17 and 3 answers.
    rates = shown(gate, full, "answer__team")
    assert {team for (team,), rate in rates.items() if rate is None} == {"rare", "third"}
    assert shown(gate, full)[()] is not None


def test_the_layer_in_process_hides_nothing(full):
    assert None not in full.query(["satisfaction_rate"], ["answer__team"]).to_arrow()[1].to_pylist()


def test_a_filter_cannot_leave_out_just_what_is_hidden(gate, full):
    def total(where):
        return shown(gate, full, where=[where])[()]

    assert total("answer__team = 'rare'") is None
    assert total("answer__team <> 'rare'") is None
    assert total("answer__team = 'third'") is None
    assert total("answer__team in ('rare', 'third')") is not None
    assert total("answer__team in ('first', 'second')") is not None


def test_a_time_range_cannot_cut_off_a_few_answers(gate, full):
    assert shown(gate, full, start="2026-01-01", end="2026-01-31")[()] is not None
    assert shown(gate, full, start="2026-01-01", end="2026-01-30")[()] is None
    with pytest.raises(NotAllowedError, match="whole days"):
        shown(gate, full, start="2026-01-01T12:00")
    with pytest.raises(NotAllowedError, match="start and end"):
        shown(gate, full, where=["metric_time__day > '2026-01-05'"])


def test_the_order_of_the_rows_does_not_tell_hidden_values(gate, full):
    rates = list(shown(gate, full, "answer__team", order_by=["-satisfaction_rate"]).values())
    assert rates[2:] == [None, None]
    assert None not in rates[:2]
    with pytest.raises(NotAllowedError, match="greatest or least"):
        shown(gate, full, "answer__team", order_by=["satisfaction_rate"], limit=1)


def test_what_was_published_about_people_is_not_given_out(gate, full):
    with pytest.raises(NotAllowedError, match="published"):
        shown(gate, full, "metric_time__month", view="published")
    assert shown(gate, full, "metric_time__month", view="restated")


def test_a_role_may_ask_for_larger_cells_than_the_cards(full, tmp_path):
    from cadran.access import policy

    file = tmp_path / "cadran_policy.yml"
    file.write_text("""roles: {a: {metrics: "*", dimensions: "*", minimum_cell: 70}}""")
    gate = PolicyGate(policy.read(file))

    def nulls(**asked):
        allowed = gate.allow(Caller("somebody", ("a",)), Query.of(asked), full)
        table = full.answer(allowed.query).to_arrow()
        return gate.suppress(table, allowed, full).column(1).null_count

    assert nulls(metrics=["satisfaction_rate"], group_by=["answer__team"]) == 3
    assert nulls(metrics=["revenue"], group_by=["order_id__channel"]) == 0  # not about people


# By force --------------------------------------------------------------------------------------

GROUPS = ("answer__team", "answer__topic", "metric_time__month")
FILTERS = {
    "{{ Dimension('answer__team') }} <> 'c'": lambda atom: atom[0] != "c",
    "{{ Dimension('answer__topic') }} = 'z'": lambda atom: atom[1] == "z",
    "{{ Dimension('answer__team') }} in ('a', 'b')": lambda atom: atom[0] in "ab",
    "{{ Dimension('answer__team') }} = 'a' or {{ Dimension('answer__topic') }} = 'x'": (
        lambda atom: atom[0] == "a" or atom[1] == "x"
    ),
}
RANGES = {
    (None, None): lambda _: True,
    ("2026-01-01", "2026-02-28"): lambda atom: atom[2] < MARCH,
    ("2026-02-01", None): lambda atom: atom[2] > JANUARY,
    (None, "2026-02-12"): lambda atom: atom[3] <= dt.date(2026, 2, 12),
}


class OnPaper(suppression._Cells):
    """Counts a list of answers instead of asking a warehouse."""

    def __init__(self, atoms, query, takes=lambda _: True):
        self.atoms, self.query, self.takes = atoms, query, takes
        self.grains = ("day", "month")

    def count(self, groups, *, whole):
        places = [PLACES[group.column] for group in groups]
        found = Counter()
        for atom, number in self.atoms.items():
            if whole or self.takes(atom):
                found[tuple(atom[place] for place in places)] += number
        return dict(found)


PLACES = {name: place for place, name in enumerate(GROUPS)} | {"metric_time__day": 3}


def answers(seed):
    """How many answers each team had on each topic in each month and on each day."""
    chance = random.Random(seed)  # noqa: S311 - the same tables each time
    atoms = Counter()
    for team, topic, month in itertools.product("abcd", "xyz", (1, 2, 3)):
        atoms[team, topic, dt.date(2026, month, 1), dt.date(2026, month, 7)] += 1
    for _ in range(260):
        day = dt.date(2026, 1, 1) + dt.timedelta(days=chance.randrange(0, 90, 6))
        team = chance.choices("abcd", (60, 30, 4, 3))[0]
        topic = chance.choices("xyz", (50, 40, 4))[0]
        atoms[team, topic, day.replace(day=1), day] += chance.choice((1, 1, 2, 5))
    return atoms


def asked(atoms, groups, text="", bounds=(None, None), takes=lambda _: True):
    """What an answer shows and what it must not, each as a sum over the atoms."""
    query = ask(["k"], groups, where=[text], start=bounds[0], end=bounds[1])
    gone = OnPaper(atoms, query, takes).hidden(5)
    sums = {}
    for at, atom in enumerate(atoms):
        if takes(atom):
            key = tuple(atom[PLACES[name]] for name in groups)
            sums.setdefault(key, np.zeros(len(atoms)))[at] = 1
    numbers = np.array(list(atoms.values()))
    few = [vector for vector in sums.values() if vector @ numbers < 5]
    shown = [vector for key, vector in sums.items() if key not in gone]
    assert not any(vector @ numbers < 5 for vector in shown)
    return shown, few


def basis(vectors):
    _, size, found = np.linalg.svd(np.array(vectors), full_matrices=False)
    return found[size > 1e-8]


def follows(vector, told):
    return np.abs(vector - told.T @ (told @ vector)).max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_a_table_and_all_its_totals_together_tell_no_value_of_few(seed):
    atoms = answers(seed)
    secrets = 0
    for table in itertools.chain.from_iterable(
        itertools.combinations(GROUPS, size) for size in (1, 2, 3)
    ):
        shown, few = [], []
        for size in range(len(table) + 1):
            for groups in itertools.combinations(table, size):
                more = asked(atoms, groups)
                shown += more[0]
                few += more[1]
        told = basis(shown)
        assert not any(follows(vector, told) for vector in few)
        secrets += len(few)
    assert secrets > 10


@pytest.mark.parametrize("seed", range(2))
def test_filters_and_time_ranges_show_nothing_that_cannot_be_worked_out_without_them(seed):
    atoms = answers(seed)
    told = {}
    shown = 0
    for size in range(4):
        for groups in itertools.combinations(GROUPS, size):
            for (text, takes), (bounds, within) in itertools.product(
                FILTERS.items(), RANGES.items()
            ):
                if "metric_time__month" in groups and bounds[1] == "2026-02-12":
                    continue  # the layer widens it to the month
                names = {name for name in GROUPS[:2] if name in text} | {*groups}
                timed = {"metric_time__day"} if bounds[1] == "2026-02-12" else {GROUPS[2]}
                finer = tuple(sorted(names | (timed if any(bounds) else set())))
                if finer not in told:
                    tables = itertools.chain.from_iterable(
                        itertools.combinations(finer, length) for length in range(len(finer) + 1)
                    )
                    told[finer] = basis([one for table in tables for one in asked(atoms, table)[0]])

                def taken(atom, takes=takes, within=within):
                    return takes(atom) and within(atom)

                found = asked(atoms, groups, text, bounds, taken)[0]
                assert all(follows(vector, told[finer]) for vector in found)
                shown += len(found)
    assert shown > 100
