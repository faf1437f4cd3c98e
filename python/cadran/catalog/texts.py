"""The texts of the catalogue's own pages: English, French."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.formats import periods

if TYPE_CHECKING:
    import datetime as dt


PAIRS: dict[str, tuple[str, str]] = {
    "title": ("KPI catalogue", "Catalogue des indicateurs"),
    "tagline": (
        "One KPI, one definition, one number everywhere.",
        "Un indicateur, une définition, un seul chiffre partout.",
    ),
    "skip": ("Skip to content", "Aller au contenu"),
    "language": ("Français", "English"),
    "pages": ("Pages", "Pages"),
    "kpis": ("KPIs", "Indicateurs"),
    "tree": ("KPI tree", "Arbre"),
    "dictionary": ("Dictionary", "Dictionnaire"),
    "glossary": ("Glossary", "Glossaire"),
    "changes": ("What changed", "Nouveautés"),
    "search": ("Search", "Rechercher"),
    "search_hint": ("KPI, column, term…", "Indicateur, colonne, terme…"),
    "results": ("results", "résultats"),
    "no_result": ("Nothing found.", "Aucun résultat."),
    "data_until": ("Data until {day}", "Données jusqu'au {day}"),
    "made_at": ("made on {day}", "établi le {day}"),
    "by_objective": ("By objective", "Par objectif"),
    "by_tier": ("By tier", "Par niveau"),
    "by_team": ("By team", "Par équipe"),
    "view": ("Order of the list", "Présentation de la liste"),
    "kpi": ("KPI", "Indicateur"),
    "before": ("vs month before", "vs mois précédent"),
    "year_before": ("vs year before", "vs un an avant"),
    "course": ("Last 12 months", "12 derniers mois"),
    "target": ("Target", "Cible"),
    "status": ("Status", "État"),
    "strategic": ("Strategic", "Stratégique"),
    "operational": ("Operational", "Opérationnel"),
    "strategic_many": ("Strategic KPIs", "Indicateurs stratégiques"),
    "operational_many": ("Operational KPIs", "Indicateurs opérationnels"),
    "strategic_note": (
        "Few, for the whole company: each serves an objective of the board.",
        "Peu nombreux, pour toute l'entreprise : chacun sert un objectif de la direction.",
    ),
    "operational_note": (
        "What the teams act on, day by day.",
        "Ce sur quoi les équipes agissent au quotidien.",
    ),
    "global": ("Whole company", "Toute l'entreprise"),
    "commerce": ("Commerce", "Commerce"),
    "support": ("Customer support", "Service client"),
    "platform": ("Platform", "Plateforme"),
    "on target": ("on target", "cible atteinte"),
    "near target": ("near target", "proche de la cible"),
    "warning": ("warning", "alerte"),
    "critical": ("critical", "critique"),
    "no target": ("no target", "sans cible"),
    "draft": ("draft", "brouillon"),
    "certified": ("certified", "certifié"),
    "deprecated": ("deprecated", "abandonné"),
    "version": ("Version", "Version"),
    "latest": ("Latest complete month", "Dernier mois complet"),
    "course_25": ("The last two years, by month", "Les deux dernières années, par mois"),
    "figures": ("The figures", "Les chiffres"),
    "month": ("Month", "Mois"),
    "value": ("Value", "Valeur"),
    "breakdown": ("{period} by {dimension}", "{period} par {dimension}"),
    "definition": ("Definition", "Définition"),
    "formula": ("Formula", "Formule"),
    "exactly": ("Made of", "Composition"),
    "checked": (
        "Checked: equal over {count} periods.",
        "Vérifié : égal sur {count} périodes.",
    ),
    "unchecked": ("Not checked: {why}", "Non vérifié : {why}"),
    "broken": (
        "Does not hold: differs by up to {gap}.",
        "Ne tient pas : écart allant jusqu'à {gap}.",
    ),
    "not_for": ("Not to be used for", "Ne pas employer pour"),
    "sql": ("SQL by month", "SQL par mois"),
    "sql_note": (
        "What the warehouse runs, compiled from the one definition.",
        "Ce que l'entrepôt exécute, compilé depuis la définition unique.",
    ),
    "direction": ("Direction", "Sens"),
    "up": ("higher is better", "plus haut vaut mieux"),
    "down": ("lower is better", "plus bas vaut mieux"),
    "band": ("within a band", "dans une bande"),
    "unit": ("Unit", "Unité"),
    "summed": ("May be summed", "Sommable"),
    "additive": ("yes", "oui"),
    "semi_additive": ("over dimensions, not over time", "sur les dimensions, pas dans le temps"),
    "not_additive": ("no", "non"),
    "objective": ("Objective", "Objectif"),
    "team": ("Team", "Équipe"),
    "owner": ("Owner", "Responsable"),
    "business_owner": ("Answers for the meaning", "Responsable du sens"),
    "technical_owner": ("Answers for the computation", "Responsable du calcul"),
    "review_by": ("To be reviewed by", "À revoir avant le"),
    "tier": ("Tier", "Niveau"),
    "file": ("Defined in", "Défini dans"),
    "card": ("Card", "Fiche"),
    "lineage": ("Where it comes from", "D'où il vient"),
    "lineage_note": (
        "From the sources on the left to the KPI on the right.",
        "Des sources, à gauche, jusqu'à l'indicateur, à droite.",
    ),
    "sources": ("Sources", "Sources"),
    "models": ("Models", "Modèles"),
    "grains": ("Periods and dimensions", "Périodes et dimensions"),
    "asked_by": ("Can be asked by", "Se demande par"),
    "dimension": ("Dimension", "Dimension"),
    "samples": ("Values", "Valeurs"),
    "more": ("and {count} more", "et {count} autres"),
    "targets": ("Targets", "Cibles"),
    "period": ("Period", "Période"),
    "warn_at": ("Warning", "Seuil d'alerte"),
    "critical_at": ("Critical", "Seuil critique"),
    "other_periods": ("Other periods", "Autres périodes"),
    "no_targets": ("No target is set.", "Aucune cible n'est fixée."),
    "freshness": ("Freshness", "Fraîcheur"),
    "promise": ("Promised", "Promise"),
    "refreshed": ("refreshed every {every}", "actualisation : {every}"),
    "late_after": ("late after {late}", "en retard au-delà de {late}"),
    "measured": ("Measured", "Mesurée"),
    "newest": (
        "newest record of {day}, {age} old",
        "dernier enregistrement du {day}, il y a {age}",
    ),
    "in_time": ("within the promise", "promesse tenue"),
    "late": ("late", "en retard"),
    "unknown_age": ("not known", "inconnue"),
    "versions": ("Versions", "Versions"),
    "since": ("Since", "Depuis"),
    "kind": ("Kind", "Nature"),
    "reason": ("Reason", "Raison"),
    "approver": ("Approved by", "Approuvé par"),
    "restatement": ("Restatement", "Retraitement"),
    "first_version": ("first definition", "première définition"),
    "policy": ("policy", "règle de gestion"),
    "estimate": ("estimate", "estimation"),
    "error": ("correction of an error", "correction d'erreur"),
    "source": ("change of source", "changement de source"),
    "equivalent": ("equivalent", "équivalente"),
    "none": ("none", "aucun"),
    "effective": ("from the effective date", "à partir de la date d'effet"),
    "full": ("full", "complet"),
    "window": ("a window", "une fenêtre"),
    "used_by": ("Who uses it", "Qui s'en sert"),
    "saved_query": ("Saved query", "Requête enregistrée"),
    "exposure": ("Exposure", "Usage déclaré"),
    "unused": ("No saved query and no exposure names it.", "Aucun usage n'est déclaré."),
    "place": ("In the KPI tree", "Dans l'arbre des indicateurs"),
    "moved_by": ("What moves it", "Ce qui le fait bouger"),
    "moves": ("What it moves", "Ce qu'il fait bouger"),
    "exact": ("exactly", "exactement"),
    "driver": ("driver", "levier"),
    "same": ("equal to", "égal à"),
    "sum": ("sum", "somme"),
    "product": ("product", "produit"),
    "ratio": ("ratio", "ratio"),
    "formula_kind": ("formula", "formule"),
    "cumulative": ("running total", "cumul"),
    "conversion": ("conversion", "conversion"),
    "tree_lead": (
        (
            "How KPIs follow from one another. A full line is an exact relation, read from the"
            " definition and checked against the figures; a dashed line is a driver that the owner"
            " declares."
        ),
        (
            "Comment les indicateurs découlent les uns des autres. Un trait plein est une relation"
            " exacte, lue dans la définition et vérifiée sur les chiffres ; un trait pointillé est"
            " un levier déclaré par le responsable."
        ),
    ),
    "relations": ("Exact relations", "Relations exactes"),
    "relation": ("Relation", "Relation"),
    "check": ("Check", "Vérification"),
    "contributions": ("What each team contributes to", "À quoi chaque équipe contribue"),
    "contributes": ("Contributes to", "Contribue à"),
    "how": ("How", "Comment"),
    "own_goal": ("strategic itself", "stratégique lui-même"),
    "no_way": ("no strategic KPI", "aucun indicateur stratégique"),
    "dictionary_lead": (
        "Every table that people may read, and every column in it.",
        "Chaque table ouverte à la lecture, et chacune de ses colonnes.",
    ),
    "descriptions_note": ("", "Les descriptions des tables sont rédigées en anglais."),
    "marts": ("Facts and dimensions", "Faits et dimensions"),
    "governance": ("Governance", "Gouvernance"),
    "utilities": ("Calendars", "Calendriers"),
    "kpi_tables": ("KPI tables", "Tables d'indicateurs"),
    "company": ("Company", "Entreprise"),
    "table": ("Table", "Table"),
    "columns": ("columns", "colonnes"),
    "column": ("Column", "Colonne"),
    "type": ("Type", "Type"),
    "description": ("Description", "Description"),
    "role": ("Role", "Rôle"),
    "tests": ("Tests", "Tests"),
    "key": ("key", "clé"),
    "foreign": ("reference", "référence"),
    "time": ("time", "temps"),
    "dimension_role": ("dimension", "dimension"),
    "from_it": ("KPIs that come from it", "Indicateurs qui en viennent"),
    "built_from": ("Built from", "Construite à partir de"),
    "glossary_lead": (
        "The words that this catalogue uses, and what they mean here.",
        "Les mots de ce catalogue, et leur sens ici.",
    ),
    "changes_lead": (
        "New versions of KPIs, edits of definitions, and reviews that are due.",
        "Nouvelles versions, modifications des définitions et revues à venir.",
    ),
    "new_versions": ("Versions of KPIs", "Versions des indicateurs"),
    "no_versions": (
        "No KPI has changed its meaning: all are in their first version.",
        "Aucun indicateur n'a changé de sens : tous en sont à leur première version.",
    ),
    "edits": ("Edits of definitions", "Modifications des définitions"),
    "no_edits": ("No history is at hand.", "Aucun historique n'est disponible."),
    "reviews": ("Reviews", "Revues"),
    "date": ("Date", "Date"),
    "what": ("What", "Quoi"),
    "files": ("Files", "Fichiers"),
    "count_kpis": ("{count} KPIs", "{count} indicateurs"),
    "picture_of": ("{label} over time", "{label} dans le temps"),
    "picture_lineage": ("Lineage of {label}", "Origine de {label}"),
    "picture_tree": ("Tree of {label}", "Arbre de {label}"),
    "scroll": ("{what}, scrolls sideways", "{what}, défilement horizontal"),
    "legend_exact": ("exact relation", "relation exacte"),
    "legend_driver": ("declared driver", "levier déclaré"),
    "part": ("building block", "composant"),
    "all_kpis": ("All KPIs", "Tous les indicateurs"),
    "choose": ("Choose a language", "Choisir une langue"),
}


# Key, then term and meaning in English and in French.
TERMS: tuple[tuple[str, tuple[str, str], tuple[str, str]], ...] = (
    ("metric",
     ("Metric", "Any measurement that the semantic layer can compute."),
     ("Mesure", "Toute grandeur que la couche sémantique sait calculer.")),
    ("kpi",
     ("KPI", ("A metric with a card: it was selected because it serves an objective, and two people"
      " answer for it.")),
     ("Indicateur", ("Une mesure dotée d'une fiche : elle a été choisie parce qu'elle sert un"
      " objectif, et deux personnes en répondent."))),
    ("objective",
     ("Objective", "What the company wants to reach; each KPI serves one."),
     ("Objectif", "Ce que l'entreprise veut atteindre ; chaque indicateur en sert un.")),
    ("strategic",
     ("Strategic KPI", "One of the few that the whole company is led by."),
     ("Indicateur stratégique", "L'un des rares qui servent à conduire toute l'entreprise.")),
    ("operational",
     ("Operational KPI", "A KPI that one team acts on."),
     ("Indicateur opérationnel", "Un indicateur sur lequel une équipe agit.")),
    ("target",
     ("Target", ("The value to reach in a period, with a warning and a critical threshold on its"
      " bad side.")),
     ("Cible", ("La valeur à atteindre sur une période, avec un seuil d'alerte et un seuil critique"
      " du mauvais côté."))),
    ("status",
     ("Status", ("On target; near target (short of it, not yet at the warning threshold); warning;"
      " critical.")),
     ("État", ("Cible atteinte ; proche de la cible (en deçà, sans atteindre le seuil d'alerte) ;"
      " alerte ; critique."))),
    ("certified",
     ("Certified", "The definition is approved and the figures may be quoted."),
     ("Certifié", "La définition est approuvée et les chiffres peuvent être cités.")),
    ("grain",
     ("Grain", "The length of the periods that a figure is given for: day, month, quarter."),
     ("Maille", "La longueur des périodes d'un chiffre : jour, mois, trimestre.")),
    ("dimension",
     ("Dimension", "What a KPI may be broken down by, such as channel or country."),
     ("Dimension", "Ce selon quoi un indicateur se décompose, comme le canal ou le pays.")),
    ("additive",
     ("Additive", ("Its values may be summed over periods and over dimensions. A ratio or a number"
      " of distinct customers may not.")),
     ("Sommable", ("Ses valeurs s'additionnent dans le temps et sur les dimensions. Un ratio ou un"
      " nombre de clients distincts ne s'additionne pas."))),
    ("point",
     ("Percentage point (pp)", "The difference of two percentages: from 2% to 3% is 1 point."),
     ("Point (pt)", "L'écart entre deux pourcentages : de 2 % à 3 %, il y a 1 point.")),
    ("version",
     ("Version", ("One meaning of a KPI. A changed meaning is a new version, with a reason, a date"
      " and someone who approved it.")),
     ("Version", ("Un sens d'un indicateur. Changer de sens crée une nouvelle version, avec une"
      " raison, une date et une personne qui l'approuve."))),
    ("break",
     ("Break", ("The period in which a KPI changed its version. Figures on its two sides are not"
      " like for like, and no line joins them.")),
     ("Rupture", ("La période où un indicateur a changé de version. Les chiffres de part et d'autre"
      " ne sont pas comparables, et aucune ligne ne les relie."))),
    ("restatement",
     ("Restatement", "A published figure that was corrected afterwards, openly and with a reason."),
     ("Retraitement", "Un chiffre publié puis corrigé, ouvertement et avec une raison.")),
    ("ledger",
     ("Ledger", "The record of every figure as it was published; nothing in it is ever changed."),
     ("Registre", "L'archive de chaque chiffre tel qu'il a été publié ; rien n'y est modifié.")),
    ("driver",
     ("Driver", "A KPI that an owner holds to move another one. It is a judgement, not a formula."),
     ("Levier", ("Un indicateur dont un responsable estime qu'il en fait bouger un autre. C'est un"
      " jugement, pas une formule."))),
    ("relation",
     ("Exact relation", "A KPI that follows from others by its formula: sum, product or ratio."),
     ("Relation exacte", ("Un indicateur qui découle d'autres par sa formule : somme, produit,"
      " ratio."))),
    ("freshness",
     ("Freshness", "The age of the newest record behind a figure, beside what its card promises."),
     ("Fraîcheur", ("L'âge du dernier enregistrement derrière un chiffre, comparé à la promesse de"
      " la fiche."))),
    ("saved_query",
     ("Saved query", ("A question that is asked again and again, kept under a name and built as a"
      " table.")),
     ("Requête enregistrée", ("Une question posée régulièrement, gardée sous un nom et construite"
      " comme table."))),
    ("exposure",
     ("Exposure", "A report or an application that declares which KPIs it shows."),
     ("Usage déclaré", "Un rapport ou une application qui déclare les indicateurs qu'il montre.")),
)  # fmt: skip


OTHER = {"en": "fr", "fr": "en"}

_DURATIONS = {
    "minute": ("minute", "minutes"), "hour": ("heure", "heures"), "day": ("jour", "jours"),
    "week": ("semaine", "semaines"), "month": ("mois", "mois"),
}  # fmt: skip
_GRAINS = {
    "minute": "minute", "hour": "heure", "day": "jour", "week": "semaine", "month": "mois",
    "quarter": "trimestre", "year": "année",
}  # fmt: skip
_UNITS = {
    "customers": "clients", "orders": "commandes", "units": "unités", "hours": "heures",
    "incidents": "incidents", "deployments": "déploiements", "requests": "requêtes",
    "tickets": "demandes", "ms": "millisecondes",
}  # fmt: skip
HOURS_OF_DAY, MINUTES_OF_HOUR = 48, 60


class Words:
    """The words of one language; `words("by_team")`, with the places in them filled in."""

    def __init__(self, lang: str) -> None:
        """Speak `en` or `fr`."""
        self.lang = lang
        self._side = ("en", "fr").index(lang)

    def __call__(self, key: str, **places: Any) -> str:
        """The words of a key; a key without words is shown as it is, with spaces."""
        pair = PAIRS.get(key)
        if pair is None:
            return key.replace("_", " ").capitalize()
        return pair[self._side].format(**places) if places else pair[self._side]

    def day(self, day: dt.date) -> str:
        """A day as it is written in a sentence."""
        first = "1er" if self.lang == "fr" and day.day == 1 else str(day.day)
        return f"{first} {periods.label(day, 'month', self.lang)}"

    def duration(self, text: str) -> str:
        """A duration as a card writes it, "3 hours", in the language."""
        count, unit = text.split()
        if self.lang == "en":
            return text
        singular, plural = _DURATIONS[unit.removesuffix("s")]
        return f"{count} {singular if count == '1' else plural}"

    def age(self, age: dt.timedelta) -> str:
        """How old something is, in one unit."""
        minutes = int(age.total_seconds() // 60)
        if minutes < MINUTES_OF_HOUR:
            count, unit = minutes, "minute"
        elif minutes < HOURS_OF_DAY * MINUTES_OF_HOUR:
            count, unit = minutes // 60, "hour"
        else:
            count, unit = minutes // (60 * 24), "day"
        return self.duration(f"{count} {unit}{'' if count == 1 else 's'}")

    def grain(self, grain: str) -> str:
        """The name of a length of time."""
        return _GRAINS[grain] if self.lang == "fr" else grain

    def unit(self, unit: str) -> str:
        """The name of a unit."""
        return _UNITS.get(unit, unit) if self.lang == "fr" else unit
