"""`cadran completion`: what a shell completes commands, flags and choices by."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from cadran.cli.app import COMMANDS, parser_of
from cadran.cli.common import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish")


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} bash: put `source <(cadran completion bash)` into ~/.bashrc;"
        " zsh: `source <(cadran completion zsh)` into ~/.zshrc;"
        " fish: `cadran completion fish > ~/.config/fish/completions/cadran.fish`."
    )
    shown = ("cadran completion bash", "cadran completion fish")
    parser.add_argument("shell", choices=SHELLS, help="whose script is printed")
    describe(parser, _completion, project="", shown=shown)


def _completion(parsed: argparse.Namespace) -> int:
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[parsed.shell]())
    return 0


def words(command: str) -> list[str]:
    """The flags and fixed words of a command, those of its actions among them, sorted."""
    commands = next(_choices(parser_of(command)))
    return sorted(dict.fromkeys(_words(commands.choices[command])))


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - argparse tells its arguments nowhere else
        yield from (flag for flag in action.option_strings if flag.startswith("--"))
        yield from (str(choice) for choice in action.choices or ())
    for actions in _choices(parser):
        for below in actions.choices.values():
            yield from _words(below)


def _choices(parser: argparse.ArgumentParser) -> Iterator[Any]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            yield action


def _cases() -> str:
    return "\n".join(
        f"        {command}) words={shlex.quote(' '.join(words(command)))} ;;"
        for command in COMMANDS
    )


def _bash() -> str:
    return f"""\
_cadran() {{
    local words={shlex.quote(" ".join(COMMANDS))}
    if [ "$COMP_CWORD" -gt 1 ]; then
        case "${{COMP_WORDS[1]}}" in
{_cases()}
        *) words= ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _cadran cadran"""


def _zsh() -> str:
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash()}"


def _fish() -> str:
    lines = ["complete -c cadran -f"]
    for command, (_, summary) in COMMANDS.items():
        lines.append(
            f"complete -c cadran -n __fish_use_subcommand -a {command} -d {shlex.quote(summary)}"
        )
        seen = f"'__fish_seen_subcommand_from {command}'"
        lines += [
            f"complete -c cadran -n {seen} "
            + (f"-l {word[2:]}" if word.startswith("--") else f"-a {shlex.quote(word)}")
            for word in words(command)
        ]
    return "\n".join(lines)
