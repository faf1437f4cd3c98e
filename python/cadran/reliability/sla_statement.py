"""The statement of a contract's month for the customer: HTML and CSV, French and English."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.formats import numbers, periods

if TYPE_CHECKING:
    from decimal import Decimal

    from cadran.reliability.sla import Settlement

WORDS = {
    "en": {
        "statement": "Service level statement", "customer": "Customer", "month": "Month",
        "zone": "Time zone", "services": "Services", "promised": "Promised",
        "net": "Availability, net", "gross": "Availability, gross",
        "agreed": "Agreed time, minutes", "excluded": "Excluded, minutes",
        "counted": "Bad minutes that count, net", "kept": "Promise kept", "credit": "Credit",
        "share": "Share of the base amount", "base": "Base amount", "yes": "yes", "no": "no",
        "minutes": "Bad minutes, one by one", "local": "Local time", "utc": "UTC", "good": "Good",
        "valid": "Valid", "counts": "Counts", "is_excluded": "Excluded", "none": "None.",
        "running": "The month is not over: figures until {until} (UTC).", "tiers": "Credits",
        "below": "Below", "rule": "How it is counted",
        "mean_of_slices": "Mean over slices of {slice} min of good requests / valid requests.",
        "bad_runs": "A minute is bad below {bad} of good requests; runs of {run} bad minutes or"
        " more are taken off the agreed time.",
        "time_less_exclusions": "A minute is bad below {bad} of good requests; runs of {run} bad"
        " minutes or more are taken off the agreed time, which excluded time is no part of.",
    },
    "fr": {
        "statement": "Relevé de niveau de service", "customer": "Client", "month": "Mois",
        "zone": "Fuseau horaire", "services": "Services", "promised": "Engagement",
        "net": "Disponibilité nette", "gross": "Disponibilité brute",
        "agreed": "Temps convenu, en minutes", "excluded": "Exclusions, en minutes",
        "counted": "Minutes mauvaises retenues, net", "kept": "Engagement tenu", "credit": "Avoir",
        "share": "Part du montant de base", "base": "Montant de base", "yes": "oui", "no": "non",
        "minutes": "Minutes mauvaises, une à une", "local": "Heure locale", "utc": "UTC",
        "good": "Réussies", "valid": "Valables", "counts": "Retenue", "is_excluded": "Exclue",
        "none": "Aucune.", "running": "Le mois n'est pas fini : chiffres jusqu'au {until} (UTC).",
        "tiers": "Avoirs", "below": "En dessous de", "rule": "Mode de calcul",
        "mean_of_slices": "Moyenne, par tranche de {slice} min, des requêtes réussies / valables.",
        "bad_runs": "Une minute est mauvaise en dessous de {bad} de requêtes réussies ; les suites"
        " d'au moins {run} minutes mauvaises sont déduites du temps convenu.",
        "time_less_exclusions": "Une minute est mauvaise en dessous de {bad} de requêtes réussies ;"
        " les suites d'au moins {run} minutes mauvaises sont déduites du temps convenu, dont le"
        " temps exclu est retranché.",
    },
}  # fmt: skip
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
<p>{{ title }}{% if running %}<br><strong>{{ running }}</strong>{% endif %}</p>
<table>
{% for name, value in facts %}<tr><th scope="row">{{ name }}</th><td class="n">{{ value }}</td></tr>
{% endfor %}</table>
<p class="credit">{{ words.credit }}: {{ credit }}</p>
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


def amount(settlement: Settlement, lang: str) -> str:
    """The credit with its currency."""
    return _money(settlement.credit, settlement.contract.currency, lang)


def _money(value: Decimal, currency: str, lang: str) -> str:
    return numbers.measure(value, currency, decimals=2, lang=lang)


def html(settlement: Settlement, lang: str = "en") -> str:
    """The statement as one page that stands alone."""
    from jinja2 import Environment

    contract, words = settlement.contract, WORDS[lang]
    facts = _facts(settlement, lang)
    bad = percent(Fraction(contract.bad_below or 1), lang, 2)
    rule = words[contract.grammar].format(
        slice=contract.slice_minutes, bad=bad, run=contract.minimum_run
    )
    page = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    return page.render(
        lang=lang,
        words=words,
        title=contract.fr.title if lang == "fr" else contract.title,
        month=periods.label(settlement.month, "month", lang),
        running=words["running"].format(until=f"{settlement.last_instant:%Y-%m-%d %H:%M}")
        if settlement.is_running
        else "",
        facts=facts,
        credit=amount(settlement, lang),
        rule=rule,
        tiers=[
            (percent(Fraction(t.below), lang, 3), percent(Fraction(t.credit), lang, 0))
            for t in contract.tiers
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
    contract, words = settlement.contract, WORDS[lang]
    counted = sum(m.counts and not m.is_excluded for m in settlement.bad_minutes)
    share = min(settlement.tier.credit, contract.cap) if settlement.tier else 0
    return [
        (words["customer"], contract.customer),
        (words["month"], periods.label(settlement.month, "month", lang)),
        (words["zone"], contract.time_zone),
        (words["services"], ", ".join(contract.services)),
        (words["promised"], percent(Fraction(contract.target), lang, 3)),
        (words["net"], percent(settlement.net, lang)),
        (words["gross"], percent(settlement.gross, lang)),
        (words["agreed"], numbers.number(settlement.agreed_minutes, lang=lang)),
        (words["excluded"], numbers.number(settlement.excluded_minutes, lang=lang)),
        (words["counted"], numbers.number(counted, lang=lang)),
        (words["kept"], words["yes" if settlement.is_kept else "no"]),
        (words["base"], _money(contract.base_amount, contract.currency, lang)),
        (words["share"], percent(Fraction(share), lang, 0)),
    ]  # fmt: skip


def csv_text(settlement: Settlement, lang: str = "en") -> str:
    """The same as CSV: the facts, availabilities also as exact fractions, then the minutes."""
    words = WORDS[lang]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    contract = settlement.contract
    for name, value in _facts(settlement, lang):
        writer.writerow([name, value])
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
