"""What the words of the catalogue mean."""

from __future__ import annotations

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
