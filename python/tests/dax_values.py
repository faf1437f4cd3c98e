"""Scalars of DAX as SQL and a kind: BLANK is NULL, a fixed decimal has four places."""

from __future__ import annotations

BLANK = ("null", "blank")
ZEROS = {"date": "date '1899-12-30'", "text": "''", "bool": "false"}


def operation(sign, left, right):
    """DAX's operators in SQL, with BLANK as NULL and fixed decimals of four places."""
    (a, kind_a), (b, kind_b) = left, right
    kinds = {kind_a, kind_b}
    if sign in {"&&", "||"}:
        word = "and" if sign == "&&" else "or"
        said = f"(coalesce({a}, false) {word} coalesce({b}, false))", "bool"
    elif sign == "==":
        said = f"({a} is not distinct from {b})", "bool"
    elif sign in {"<>", "<", "<=", ">", ">="}:
        zero = next((ZEROS[kind] for kind in ZEROS if kind in kinds), "0")
        said = f"(coalesce({a}, {zero}) {sign} coalesce({b}, {zero}))", "bool"
    elif sign in {"+", "-"} and "date" in kinds:
        said = f"cast({a} {sign} cast({b} as integer) as date)", "date"
    elif sign in {"+", "-"}:
        both = f"coalesce({a}, 0) {sign} coalesce({b}, 0)"
        text = f"(case when {a} is null and {b} is null then null else {both} end)"
        said = text, common([left, right])
    elif sign == "*":
        text = f"round({a} * {b}, 4)" if kinds == {"fixed"} else f"({a} * {b})"
        said = text, "fixed" if "fixed" in kinds else common([left, right])
    else:
        said = quotient(left, right, f"cast({a} as double) / coalesce({b}, 0)")
    return said


def quotient(left, right, text):
    """A fixed decimal divided by a count stays one: cut at four places, as DAX does it."""
    if left[1] == "fixed" and right[1] != "fixed":
        return (f"round({text}, 4)", "fixed")
    return (f"({text})", "float")


def function(name, arguments):
    texts = [text for text, _ in arguments]
    if name == "DIVIDE":
        return quotient(*arguments, f"cast({texts[0]} as double) / nullif({texts[1]}, 0)")
    if name == "IF":
        otherwise = arguments[2] if len(arguments) > 2 else BLANK
        text = f"(case when {texts[0]} then {texts[1]} else {otherwise[0]} end)"
        return (text, common([arguments[1], otherwise]))
    if name == "COALESCE":
        return (f"coalesce({', '.join(texts)})", common(arguments))
    if name in {"MIN", "MAX"} and len(arguments) == 2:
        both = "least" if name == "MIN" else "greatest"
        return (f"{both}({', '.join(texts)})", common(arguments))
    if name == "LEFT":
        return (f"left({texts[0]}, {texts[1]})", "text")
    simple = {
        "USERCULTURE": ("'en-US'", "text"),
        "BLANK": BLANK,
        "TRUE": ("true", "bool"),
        "FALSE": ("false", "bool"),
        "ISBLANK": (f"({texts[0]} is null)" if texts else "", "bool"),
        "NOT": (f"(not coalesce({texts[0]}, false))" if texts else "", "bool"),
    }
    if name not in simple:
        raise ValueError(f"{name} is not known")
    return simple[name]


def common(values):
    """The kind of what may be one of these values."""
    kinds = {kind for _, kind in values} - {"blank"}
    for kind in ("date", "float", "fixed", "int", "bool", "text"):
        if kind in kinds:
            return kind
    return "blank"


def q(name):
    return '"' + name.replace('"', '""') + '"'
