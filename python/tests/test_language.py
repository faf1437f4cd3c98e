"""The command line in French, by flag and by locale; what has no French is said in English."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import pytest

import cadran
from cadran.cli import main
from cadran.cli.app import COMMANDS, parser_of
from cadran.cli.language import choose, phrases, said

# The program composes these; test_foreign has them said.
COMPOSED = (
    "{names} is not defined by", "{names} are not defined by", "Ask {owners} to add it",
    "{name} is a draft:", "{count} lines in 1 file",
)  # fmt: skip
SOURCES = [Path(argparse.__file__), *Path(cadran.__file__).parent.rglob("*.py")]


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
    texts = {text for _, text in COMMANDS.values()}
    for command in COMMANDS:
        [commands] = parser_of(command)._subparsers._group_actions
        texts.update(helps(commands.choices[command]))
    return texts - {None, argparse.SUPPRESS}


def test_all_help_has_its_french_in_french_yml(helped):
    assert not helped - {*phrases()}


def test_each_english_text_stands_in_the_program_and_its_french_is_filled_alike(helped):
    known = "\n".join(re.sub(r"\s+", " ", text) for path in SOURCES for text in texts_of(path))
    for english_text, french in phrases().items():
        filled = re.findall(r"\{\w+\}|%\(\w+\)s", english_text)
        assert {*re.findall(r"\{\w+\}|%\(\w+\)s", french)} == {*filled}, english_text
        pieces = re.split(r"\{\w+\}|--manifest|--database|--ungoverned", english_text)
        missing = [piece for piece in pieces if piece.strip(" :") not in known]
        assert not missing or english_text in helped or english_text.startswith(COMPOSED), missing


@pytest.mark.parametrize(
    ("words", "french"),
    [
        (["qury"], "cadran: la commande « qury » n'existe pas : s'agit-il de query ?"),
        (
            ["list", "--format", "xml"],
            "cadran list: argument --format : 'xml' n'est pas un choix possible",
        ),
        (["new", "kpi"], "cadran new kpi: arguments obligatoires : METRIC (voir cadran new kpi"),
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


def test_help_is_in_french_with_what_the_flags_are_for(capsys):
    assert main(["query", "--help", "--lang=fr"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "usage : cadran query", "La réponse à une question.", "afficher cette aide",
        "tant de lignes au plus", "projet :", "exemples :", "langue des messages",
    ):  # fmt: skip
        assert text in shown
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
