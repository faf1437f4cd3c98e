"""The sentences that Superset's users read beside the words of the cards."""

from __future__ import annotations

_TEXTS = {
    "en": {
        "time": "Time",
        "start": "Start of the {grain}.",
        "cube": (
            "One row per {rows}. Its metrics are governed KPIs, right at any period from the"
            " {grain} up and by any of these columns: {kpis}."
        ),
        "day": "day", "hour": "hour", "minute": "minute",
        "only": "Only its {aggregation} means something.",
        "values": (
            "KPIs that cannot be put together from smaller groups, ready made: by period, in all"
            " and by one dimension at a time. Filter one grain and one dimension ('all' for the"
            " total); a metric is empty wherever several values would have to be put together:"
            " {kpis}."
        ),
        "period": "Period",
        "period_text": "First day of the period.",
        "grain": "Grain",
        "grain_text": "Length of the period: day, week, month, quarter or year.",
        "dimension": "Dimension",
        "dimension_text": "What the value is broken down by; 'all' is the total.",
        "member": "Member",
        "member_text": "The member of the dimension; 'all' is the total.",
        "stored": "Text, so that nothing adds it up. Use the metric.",
        "note": "Ready made, because {why}. Filter one grain and one dimension; otherwise empty.",
        "formula": "Formula: {formula}.",
        "not_for": "Not for: {uses}.",
        "unit": "Unit: {unit}.",
        "certified": "Version {version}, reviewed by {review_by}; technical owner {technical}.",
        "draft": "Draft: not certified yet.",
        "deprecated": "Deprecated{instead}.",
        "instead": ", replaced by {name}",
        "gone": "No longer exported by Cadran: its KPIs were removed or moved.",
    },
    "fr": {
        "time": "Date",
        "start": "Début de la période ({grain}).",
        "cube": (
            "Une ligne par {rows}. Ses métriques sont des KPI gouvernés, exacts sur toute période à"
            " partir de la maille « {grain} » et selon chacune de ces colonnes : {kpis}."
        ),
        "day": "jour", "hour": "heure", "minute": "minute",
        "only": "Seule son agrégation {aggregation} a un sens.",
        "values": (
            "KPI qui ne se recomposent pas à partir de groupes plus petits, tout faits : par"
            " période, au total et selon une dimension à la fois. Filtrer sur une maille (grain) et"
            " une dimension (« all » pour le total) ; une métrique reste vide là où il faudrait"
            " réunir plusieurs valeurs : {kpis}."
        ),
        "period": "Période",
        "period_text": "Premier jour de la période.",
        "grain": "Maille",
        "grain_text": "Longueur de la période : day, week, month, quarter ou year.",
        "dimension": "Dimension",
        "dimension_text": "Ce selon quoi la valeur est ventilée ; « all » est le total.",
        "member": "Modalité",
        "member_text": "La modalité de la dimension ; « all » est le total.",
        "stored": "Texte, pour que rien ne l'additionne. Utiliser la métrique.",
        "note": "Valeur toute faite : filtrer sur une maille et une dimension, sinon vide.",
        "formula": "Formule : {formula}.",
        "not_for": "Ne pas utiliser pour : {uses}.",
        "unit": "Unité : {unit}.",
        "certified": "Version {version}, à revoir le {review_by} ; technique : {technical}.",
        "draft": "Brouillon : pas encore certifié.",
        "deprecated": "Obsolète{instead}.",
        "instead": ", remplacé par {name}",
        "gone": "N'est plus exporté par Cadran : ses KPI ont été retirés ou déplacés.",
    },
}  # fmt: skip


def text(key: str, lang: str, **parts: object) -> str:
    """A sentence in a language, with its parts put in."""
    return _TEXTS[lang][key].format(**parts)


def plain(name: str) -> str:
    """A dimension's name in plain words: "Order channel" for `order_id__channel`."""
    entity, _, rest = name.partition("__")
    words = f"{entity.removesuffix('_id')} {rest.removeprefix(entity + '_')}" if rest else entity
    return words.replace("_", " ").strip().capitalize()
