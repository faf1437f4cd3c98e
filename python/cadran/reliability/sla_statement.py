"""The statement of a contract's month for the customer: HTML and CSV, French and English."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.formats import numbers, periods
from cadran.formats.encoding import csv_cell
from cadran.formats.words import words as words_of

if TYPE_CHECKING:
    import datetime as dt

    from cadran.reliability.sla import Settlement

_PAGE = """\
<!doctype html>
<html lang="{{ lang }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ words.statement }}: {{ title }}, {{ month }}</title>
<style>
body { font: 15px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc }
td.n, th.n { text-align: right } .credit { font-size: 1.4rem; font-weight: 600 }
</style></head>
<body>
<h1>{{ words.statement }}</h1>
<p>{{ title }}<br><strong>{{ standing }}</strong></p>
<table>
{% for name, value in facts %}<tr><th scope="row">{{ name }}</th><td class="n">{{ value }}</td></tr>
{% endfor %}</table>
<p class="credit">{{ words.credit }}{{ colon }} {{ credit }}</p>
<h2>{{ words.rule }}</h2>
<p>{{ rule }}</p>
<table><caption>{{ words.tiers }}</caption>
<tr><th scope="col">{{ words.below }}</th><th scope="col" class="n">{{ words.share }}</th></tr>
{% for below, share in tiers %}<tr><td>{{ below }}</td><td class="n">{{ share }}</td></tr>
{% endfor %}</table>
<h2>{{ words.minutes }}</h2>
{% if minutes %}<table>
<tr>{% for head in heads %}<th scope="col">{{ head }}</th>{% endfor %}</tr>
{% for row in minutes %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% else %}<p>{{ words.none }}</p>{% endif %}
</body></html>
"""


def percent(value: Fraction | None, lang: str, decimals: int = 4) -> str:
    """A share in percent, cut and not rounded: 99.89999 % must not read 99.9 %."""
    if value is None:
        return "-"
    scale = 10 ** (decimals + 2)
    cut = Fraction(int(value * scale), scale)
    return numbers.measure(cut.numerator / cut.denominator, "%", decimals=decimals, lang=lang)


def _agreed(share: Decimal, lang: str, least: int = 0) -> str:
    """A share as the contract has it: with all of its decimals, and not fewer than some."""
    exponent = (share * 100).normalize().as_tuple().exponent
    return percent(Fraction(share), lang, max(least, -int(exponent)))


def amount(settlement: Settlement, lang: str) -> str:
    """The credit with its currency."""
    return _money(settlement.credit, settlement.contract.currency, lang)


def _money(value: Decimal, currency: str, lang: str) -> str:
    return numbers.measure(value, currency, decimals=2, lang=lang)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the ledger has a settled month.

    Attributes:
        batch: the batch.
        revision: 1 for the first settlement, then one more for each restatement.
        settled_at: when, UTC.
        reason: of a restatement.
    """

    batch: int
    revision: int
    settled_at: dt.datetime
    reason: str = ""


def _standing(settlement: Settlement, entry: Entry | None, lang: str) -> str:
    """Whether the figures are final."""
    words = words_of("statement", lang)
    if entry is None:
        until = f"{settlement.last_instant:%Y-%m-%d %H:%M}"
        return words["running"].format(until=until) if settlement.is_running else words["open"]
    return words["restated" if entry.revision > 1 else "settled"].format(
        at=f"{entry.settled_at:%Y-%m-%d %H:%M}",
        batch=entry.batch,
        revision=entry.revision,
        reason=entry.reason,
    )


def html(settlement: Settlement, lang: str = "en", entry: Entry | None = None) -> str:
    """The statement as one page that stands alone.

    Args:
        settlement: the month.
        lang: en or fr.
        entry: where the ledger has it; None while it is not settled.
    """
    from jinja2 import Environment

    contract, words = settlement.contract, words_of("statement", lang)
    facts = _facts(settlement, lang)
    bad = _agreed(contract.bad_below or Decimal(1), lang)
    rule = words[contract.grammar].format(
        slice=contract.slice_minutes, bad=bad, run=contract.minimum_run
    )
    page = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    return page.render(
        lang=lang,
        words=words,
        title=contract.fr.title if lang == "fr" else contract.title,
        month=periods.label(settlement.month, "month", lang),
        standing=_standing(settlement, entry, lang),
        facts=facts,
        credit=amount(settlement, lang),
        colon="\u202f:" if lang == "fr" else ":",
        rule=rule,
        tiers=[
            (_agreed(tier.below, lang, 3), _agreed(tier.credit, lang)) for tier in contract.tiers
        ],
        heads=[words[k] for k in ("local", "utc", "good", "valid", "counts", "is_excluded")],
        minutes=[
            [
                f"{m.local:%Y-%m-%d %H:%M %z}", f"{m.minute_at:%Y-%m-%d %H:%M}", m.good, m.total,
                words["yes" if m.counts else "no"], words["yes" if m.is_excluded else "no"],
            ]
            for m in settlement.bad_minutes
        ],
    )  # fmt: skip


def _facts(settlement: Settlement, lang: str) -> list[tuple[str, Any]]:
    contract, words = settlement.contract, words_of("statement", lang)
    counted = sum(m.counts and not m.is_excluded for m in settlement.bad_minutes)
    share = min(settlement.tier.credit, contract.cap) if settlement.tier else Decimal(0)
    return [
        (words["customer"], contract.customer),
        (words["month"], periods.label(settlement.month, "month", lang)),
        (words["zone"], contract.time_zone),
        (words["services"], ", ".join(contract.services)),
        (words["promised"], _agreed(contract.target, lang, 3)),
        (words["net"], percent(settlement.net, lang)),
        (words["gross"], percent(settlement.gross, lang)),
        (words["agreed"], numbers.number(settlement.agreed_minutes, lang=lang)),
        (words["excluded"], numbers.number(settlement.excluded_minutes, lang=lang)),
        (words["counted"], numbers.number(counted, lang=lang)),
        (words["kept"], words["yes" if settlement.is_kept else "no"]),
        (words["base"], _money(contract.base_amount, contract.currency, lang)),
        (words["share"], _agreed(share, lang)),
    ]  # fmt: skip


def csv_text(settlement: Settlement, lang: str = "en", entry: Entry | None = None) -> str:
    """The same as CSV: the facts, availabilities also as exact fractions, then the minutes."""
    words = words_of("statement", lang)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    contract = settlement.contract
    writer.writerow([words["state"], _standing(settlement, entry, lang)])
    for name, value in _facts(settlement, lang):
        writer.writerow([csv_cell(name), csv_cell(value)])
    for key, exact in (("net", settlement.net), ("gross", settlement.gross)):
        if exact is not None:
            writer.writerow([f"{words[key]} (exact)", f"{exact.numerator}/{exact.denominator}"])
    writer.writerow([words["credit"], settlement.credit, contract.currency])
    writer.writerow([])
    writer.writerow([words[k] for k in ("local", "utc", "good", "valid", "counts", "is_excluded")])
    for m in settlement.bad_minutes:
        writer.writerow(
            [
                f"{m.local:%Y-%m-%dT%H:%M%z}", f"{m.minute_at:%Y-%m-%dT%H:%MZ}", m.good, m.total,
                words["yes" if m.counts else "no"], words["yes" if m.is_excluded else "no"],
            ]
        )  # fmt: skip
    return stream.getvalue()
