"""Reads TMDL strictly: tabs, known words, names that exist. Independent of what writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Of each kind of object: the objects, the properties with a value and the flags that it may hold.
GRAMMAR = {
    "": ({"database", "model", "table", "relationship", "expression", "cultureInfo", "ref",
          "annotation"}, set(), set()),
    "database": (set(), {"compatibilityLevel"}, set()),
    "model": (set(), {"culture", "defaultPowerBIDataSourceVersion", "sourceQueryCulture"},
              {"discourageImplicitMeasures"}),
    "table": ({"column", "measure", "partition", "hierarchy"}, {"lineageTag", "dataCategory"},
              {"isHidden"}),
    "column": ({"annotation"}, {"dataType", "formatString", "lineageTag", "sortByColumn",
                                "summarizeBy", "sourceColumn"}, {"isHidden", "isKey"}),
    "measure": ({"annotation"}, {"formatString", "displayFolder", "lineageTag"}, {"isHidden"}),
    "partition": (set(), {"mode", "source"}, set()),
    "hierarchy": ({"level"}, {"lineageTag"}, set()),
    "level": (set(), {"lineageTag", "column"}, set()),
    "relationship": (set(), {"isActive", "fromColumn", "toColumn"}, set()),
    "expression": ({"annotation"}, {"lineageTag"}, set()),
    "cultureInfo": ({"translations"}, set(), set()),
    "translations": ({"model"}, set(), set()),
}  # fmt: skip
TRANSLATED = {
    "model": {"table"}, "table": {"measure", "column", "hierarchy"}, "measure": set(),
    "column": set(), "hierarchy": set(),
}  # fmt: skip
NAME = r"(?:\w[\w-]*|'(?:[^']|'')+')"
OBJECT = re.compile(rf"(ref \w+|\w+)(?: ({NAME}))?(?: =(?: (.*))?)?")


@dataclass
class Node:
    kind: str
    name: str = ""
    value: str | None = None
    description: str = ""
    properties: dict = field(default_factory=dict)
    children: list = field(default_factory=list)

    def of(self, kind):
        return [child for child in self.children if child.kind == kind]

    def annotation(self, name):
        return next((one.value for one in self.of("annotation") if one.name == name), None)


def read(text):
    """The tree of a file; a ValueError names the line that is wrong."""
    return Reader(text.split("\n")).root


class Reader:
    def __init__(self, lines):
        self.lines = lines
        self.root = Node("")
        self.stack = [(self.root, -1)]
        self.described = []
        self.at = 0
        while self.at < len(lines):
            line = lines[self.at]
            self.at += 1
            if line:
                self.line(line, len(line) - len(line.lstrip("\t")))
        if self.described:
            raise ValueError("a description at the end describes nothing")

    def line(self, line, indent):
        body = line[indent:]
        if body != body.strip():
            self.wrong("blanks beside the text")
        while self.stack[-1][1] >= indent:
            self.stack.pop()
        parent, level = self.stack[-1]
        if indent != level + 1:
            self.wrong(f"stands at {indent} tabs, not {level + 1}")
        if body.startswith("///"):
            self.described.append(body.removeprefix("///").strip())
            return
        translated = any(node.kind == "translations" for node, _ in self.stack)
        objects, properties, flags = GRAMMAR.get(parent.kind, (set(), set(), set()))
        if translated and parent.kind != "translations":
            objects, flags = TRANSLATED[parent.kind], set()
            properties = {"caption", "description", "displayFolder"}
        word = body.split(" ", 1)[0].split(":")[0]
        if word in objects:
            self.object(body, parent, indent)
        elif word in properties:
            self.property(word, body, parent, indent + (1 if translated else 2))
        elif body in flags:
            parent.properties[body] = True
        else:
            self.wrong(f"{word!r} is not known in a {parent.kind or 'file'}")

    def object(self, body, parent, indent):
        found = OBJECT.fullmatch(body)
        if not found:
            self.wrong("is no object")
        kind, name, value = found.groups()
        node = Node(kind, unquoted(name or ""), value, "\n".join(self.described))
        self.described = []
        if body.endswith(" ="):
            node.value, self.at = block(self.lines, self.at, indent + 2)
        parent.children.append(node)
        self.stack.append((node, indent))

    def property(self, word, body, parent, deeper):
        if word in parent.properties:
            self.wrong("stands twice")
        if body == f"{word} =":
            parent.properties[word], self.at = block(self.lines, self.at, deeper)
        elif body.startswith((f"{word}: ", f"{word} = ")):
            parent.properties[word] = body[len(word) :].lstrip(":= ")
        else:
            self.wrong("has no value")

    def wrong(self, what):
        raise ValueError(f"line {self.at}: {what}: {self.lines[self.at - 1]!r}")


def block(lines, at, depth):
    """The lines of an expression, its own indentation kept."""
    found = []
    while at < len(lines) and (not lines[at] or lines[at].startswith("\t" * depth)):
        found.append(lines[at][depth:])
        at += 1
    while found and not found[-1]:
        found.pop()
    if not found:
        raise ValueError(f"line {at}: an expression is missing, or not indented by {depth} tabs")
    return "\n".join(found), at


def unquoted(name):
    return name[1:-1].replace("''", "'") if name.startswith("'") else name


def column(text):
    """Table and column of `Table.Column`."""
    found = re.fullmatch(rf"({NAME})\.({NAME})", text)
    if not found:
        raise ValueError(f"{text!r} names no column")
    return unquoted(found[1]), unquoted(found[2])


def folder(path):
    """All files of a folder `definition` in one tree."""
    root = Node("")
    for file in sorted(path.rglob("*.tmdl")):
        try:
            root.children += read(file.read_bytes().decode("utf-8")).children
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error
    return root
