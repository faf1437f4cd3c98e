"""The command line in French, by flag and by locale; what has no French is said in English."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import pytest

import cadran
from cadran.cli import language, main
from cadran.cli.app import COMMANDS, parser_of
from cadran.cli.language import choose, phrases, said

# The program composes these; test_foreign has them said.
COMPOSED = (
    "{names} is not defined by", "{names} are not defined by", "Ask {owners} to add it",
    "{name} is a draft:", "{count} lines in 1 file", "{count} KPIs, {rules} rules,",
    "{tables} tables, {rows} rows:", "{rows} values published", "{kpi} has no values",
    "{column} is no ", "version {version} is called", "rows were not checked",
    "keys and references were not checked (", "the {language} definition is the",
)  # fmt: skip
SOURCES = [Path(argparse.__file__), *Path(cadran.__file__).parent.rglob("*.py")]

MACROS = [
    Path(__file__).parents[2] / "macros" / name
    for name in ("checked_rows.sql", "contract_fault.sql")
]


@pytest.fixture(autouse=True)
def english(monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    yield
    choose([])


def texts_of(path):
    """Every text of a module, with a sign where something is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%\(\w+\)[sr]|%[sr]", "\0", node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            yield "".join(parts)


# What is raised for somebody else than a reader of the command line: clients of a server,
# notebooks, charts in Python, whoever extends Cadran; and reasons within a sentence that stay as
# they are (why a measure has no DAX, why SQL cannot be brought to one form).
ELSEWHERE = (
    "__init__", "server", "serving", "access/auth", "access/caller", "access/suppression",
    "charts", "client", "notebook", "core/result", "core/semantics/preaggregates",
    "core/versions/canonical", "core/versions/expand", "core/versions/fingerprint",
    "core/warehouse/postgres_rows",
    "exports/expressions", "exports/ossie", "exports/powerbi/", "formats/yaml_text",
    "governance/rules/registry", "insight/harm", "insight/view", "reports/expression",
    "reports/rules", "telemetry/collector", "telemetry/events", "telemetry/landing",
    "telemetry/otlp", "telemetry/remote_write", "telemetry/state", "web/",
)  # fmt: skip
FINDINGS = ("message", "problem", "expected", "remedy")


def found_or_refused(path):
    """The texts that a module raises, or has in a finding, with a sign for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if "ArgumentTypeError" in ast.unparse(node.exc.func):
                continue  # argparse says it after the name of the argument
            texts = node.exc.args[:1]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
            texts = [word.value for word in node.keywords if word.arg in FINDINGS]
        else:
            continue
        for text in texts:
            for part in (text.body, text.orelse) if isinstance(text, ast.IfExp) else (text,):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value
                elif isinstance(part, ast.JoinedStr):
                    pieces = (p.value if isinstance(p, ast.Constant) else "¤" for p in part.values)
                    yield "".join(pieces)


def left_in_english(text):
    """The words of a text that no sentence of the files covers."""
    if text in phrases():
        return ""
    for sentence, longest in language._sentences():
        if longest in text:
            text = language._pattern(sentence).sub(".", text)
    return re.sub(r"[\W\d_¤]+", " ", text).strip()


def helps(parser):
    """What each flag and action of a command is for, as the program has it."""
    for action in parser._actions:
        yield action.help
        yield from (chosen.help for chosen in getattr(action, "_choices_actions", ()))
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from helps(below)


@pytest.fixture(scope="module")
def helped():
    choose(["--lang", "en"])
    texts = {text for _, text in COMMANDS.values()}
    for command in COMMANDS:
        [commands] = parser_of(command)._subparsers._group_actions
        texts.update(helps(commands.choices[command]))
    return texts - {None, argparse.SUPPRESS}


def test_all_help_has_its_french_in_french_yml(helped):
    assert not helped - {*phrases()}


def test_each_english_text_stands_in_the_program_and_its_french_is_filled_alike(helped):
    known = " ".join(text for path in SOURCES for text in texts_of(path))
    # `doctor` tells the reasons that these macros give, and levels in capitals.
    known += " ".join(path.read_text(encoding="utf-8") for path in MACROS)
    known = re.sub(r"\s+", " ", known).lower()
    for english_text, french in phrases().items():
        filled = re.findall(r"\{\w+\}|%\(\w+\)s", english_text)
        assert {*re.findall(r"\{\w+\}|%\(\w+\)s", french)} == {*filled}, english_text
        pieces = re.split(r"\{\w+\}|--manifest|--database|--ungoverned", english_text)
        missing = [piece for piece in pieces if piece.strip(" :").lower() not in known]
        assert not missing or english_text in helped or english_text.startswith(COMPOSED), missing


def test_what_a_command_refuses_or_finds_has_its_french():
    package = Path(cadran.__file__).parent
    rooms = [
        path
        for path in sorted(package.rglob("*.py"))
        if not path.relative_to(package).as_posix().startswith(ELSEWHERE)
    ]
    left = {
        f"{path.relative_to(package)}: {text}": words
        for path in rooms
        for text in found_or_refused(path)
        if " " in text and not text.startswith("¤ ¤ not defined")  # said in parts
        if (words := left_in_english(text))
    }
    assert not left, "write their French in python/cadran/cli/french_messages.yml"


@pytest.mark.parametrize(
    ("words", "french"),
    [
        (["qury"], "cadran: la commande « qury » n'existe pas : s'agit-il de query ?"),
        (
            ["list", "--format", "xml"],
            "cadran list: argument --format : 'xml' n'est pas un choix possible",
        ),
        (["new", "kpi"], "cadran new kpi: arguments obligatoires : METRIC (voir cadran new kpi"),
        (["slo", "import", "no.yml"], "cadran: Il n'y a pas de fichier no.yml."),
        (["list", "--project-dir", "FOLDER"], "cadran: Il n'y a pas de dbt_project.yml dans /"),
        (["init", "--project-dir", "FOLDER"], "lancer d'abord `dbt init`, ou `cadran init --demo"),
    ],
)
def test_what_is_wrong_is_said_in_the_language_of_the_flag_or_the_locale(
    words, french, tmp_path, capsys, monkeypatch
):
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert main(words) == 2
    english_text = capsys.readouterr().err
    assert french not in english_text
    assert main([*words, "--lang", "fr"]) == main(["--lang", "fr", *words]) == 2
    monkeypatch.setenv("LANG", "fr_CA.UTF-8")
    assert main(words) == 2
    by_flag, by_flag_before, by_locale = capsys.readouterr().err.splitlines()
    assert french in by_flag
    assert by_flag == by_flag_before == by_locale
    assert main([*words, "--lang", "en"]) == 2
    assert capsys.readouterr().err == english_text


def notes(parser):
    """The paragraphs of a command's help, and of its actions', but for what it is in a sentence."""
    for paragraph in (parser.description or "").split("\n\n"):
        text = " ".join(paragraph.split())
        first, _, rest = text.partition(". ")
        summary = first.removesuffix(".")
        is_said = {summary, summary[:1].lower() + summary[1:]} & phrases().keys()
        yield rest if is_said else text
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from notes(below)


def test_notes_of_help_are_in_french():
    choose([])
    for command in COMMANDS:
        [commands] = parser_of(command)._subparsers._group_actions
        assert not [text for text in notes(commands.choices[command]) if left_in_english(text)]


def test_help_is_in_french_with_what_the_flags_are_for(capsys):
    assert main(["query", "--help", "--lang=fr"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "usage : cadran query", "La réponse à une question.", "afficher cette aide",
        "tant de lignes au plus", "projet :", "exemples :", "langue des messages",
    ):  # fmt: skip
        assert text in shown
    assert main(["drivers", "--help", "--lang", "fr"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Elles s'additionnent à la variation, et ne sont pas des causes." in shown
    assert main(["--help", "--lang", "fr"]) == 0
    assert "le tableau de bord : dernière période complète" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_sentence_that_has_no_french_stays_whole_beside_one_that_has():
    choose(["--lang", "fr"])
    assert said("There is no metric 'a. b' in this question. Did you mean 'ab'? Surely.") == (
        "There is no metric 'a. b' in this question. S'agit-il de « ab » ? Surely."
    )
    assert said("There is no KPI 'x' in this question. Allowed: none.") == (
        "« x » (indicateur) n'existe pas dans cette question. Possibles : rien."
    )
    assert said("m.yml: KPI 'a', key 'tier': is 5; it takes one of strategic, other.") == (
        "m.yml : indicateur « a », clé « tier » : vaut 5 ; il faut l'un de strategic, other."
    )
    assert said("c.yml, key 'owners': is 5; it takes a list of texts.") == (
        "c.yml, clé « owners » : vaut 5 ; il faut une liste de textes."
    )
    assert said(
        "batch 4: the end was cut off: batch 5 was anchored, batch 4 is the last, says x"
    ) == ("lot 4 : la fin a été coupée : le lot 5 était ancré, le lot 4 est le dernier, dit x")
    assert said("c.yml, key 'owners': is unknown; did you mean 'owner'.") == (
        "c.yml, clé « owners » : est inconnu ; s'agit-il de « owner »."
    )
