"""DAX as a tree: the small part of the language that exported measures are written in."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>"(?:[^"]|"")*")|(?P<table>'(?:[^']|'')+')
    |(?P<name>\[(?:[^\]]|\]\])+\])|(?P<word>[A-Za-z_][\w.]*)|(?P<sign>&&|\|\||==|<>|<=|>=|[-+*/<>(),=]))""",
    re.VERBOSE,
)
LEVELS = [("||",), ("&&",), ("==", "<>", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/")]


def parse(text):
    """The expression as nested tuples; a ValueError says where it is none."""
    tokens, at = [], 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        if not found:
            raise ValueError(f"no DAX: {text[at : at + 40]!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return Parser([*tokens, ("end", "")]).whole()


class Parser:
    def __init__(self, tokens):
        self.tokens = tokens
        self.at = 0

    def peek(self, *values):
        return self.tokens[self.at][1] in values and self.tokens[self.at][0] in {"sign", "word"}

    def take(self, value=None):
        kind, text = self.tokens[self.at]
        if value is not None and text != value:
            raise ValueError(f"expected {value!r}, found {text!r}")
        self.at += 1
        return kind, text

    def whole(self):
        found = self.expression()
        self.take("")
        return found

    def expression(self):
        if not self.peek("VAR"):
            return self.binary(0)
        variables = []
        while self.peek("VAR"):
            self.take()
            name = self.take()[1]
            # `VAR x = value`: the tokens know `==` only, so `=` is read here.
            self.take("=")
            variables.append((name, self.expression()))
        self.take("RETURN")
        return ("let", variables, self.expression())

    def binary(self, level):
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek(*LEVELS[level]) and self.tokens[self.at][0] == "sign":
            sign = self.take()[1]
            left = ("op", sign, left, self.binary(level + 1))
        return left

    def unary(self):
        if self.peek("-"):
            self.take()
            return ("op", "*", ("number", "-1"), self.unary())
        return self.atom()

    def atom(self):  # noqa: PLR0911 - one for each kind
        kind, text = self.take()
        if kind in {"number", "text"}:
            return (kind, text)
        if kind == "table":
            table = text[1:-1].replace("''", "'")
            if self.tokens[self.at][0] == "name":
                return ("column", table, self.take()[1][1:-1].replace("]]", "]"))
            return ("table", table)
        if kind == "name":
            return ("measure", text[1:-1].replace("]]", "]"))
        if kind == "word" and self.peek("("):
            self.take()
            arguments = []
            while not self.peek(")"):
                arguments.append(self.expression())
                if not self.peek(")"):
                    self.take(",")
            self.take(")")
            return ("call", text.upper(), arguments)
        if kind == "word":
            return ("variable", text)
        if text == "(":
            inner = self.expression()
            self.take(")")
            return inner
        raise ValueError(f"unexpected {text!r}")


def tables_in(node):
    """The tables whose columns stand in an expression."""
    if not isinstance(node, (tuple, list)):
        return
    if node and node[0] == "column":
        yield node[1]
        return
    for one in node:
        yield from tables_in(one)
