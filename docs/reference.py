"""MkDocs hook: fills in what the code knows best, whenever the site is built: keys, commands, what `status --json` says."""

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
import msgspec
import submitit
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from submitit.slurm.slurm import _make_sbatch_string
from typer.main import get_command

from callbacks.shared.args import Regrow
from callbacks.shared.events import KINDS, Event, TornLine
from jobs.cli.main import app
from jobs.history.spent import Spent
from jobs.history.status import JobStatus, RunStatus
from jobs.history.time_spent import AttemptTimes
from jobs.slurm.sbatch import SHARED_PARAMETERS, SLURM_PARAMETERS
from jobs.spec.profile import ClusterProfile

WORDS: dict[Any, str] = {str: "text", bool: "true or false", int: "integer", float: "number", Any: "anything"}
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """mkdocs calls this for every page; the generated parts stand where the markers are."""
    for marker, lines in PARTS.items():
        markdown = markdown.replace(f"<!-- {marker} -->", "\n".join(lines()))
    return markdown


def section(model: type[BaseModel], key: str) -> Iterator[str]:
    """A class as a heading and a table of its keys; the classes of its fields follow, each under a heading of its own."""
    below = {name: [(nested, _nested_key(key, name, found, nested)) for nested in _models(found.annotation)]
             for name, found in model.model_fields.items()}  # fmt: skip
    said = field_docstrings(model)
    yield from (f"### `{key}` {{#{key}}}", "", inspect.getdoc(model) or "", "")
    rows = []
    for name, found in model.model_fields.items():
        kind, text = _type_text(found), said.get(name, "")
        for nested, target in below[name]:
            kind, text = kind.replace("section", f"[§](#{target})", 1), text or inspect.getdoc(nested) or ""
        rows.append((f"`{name}`", kind.replace("[§]", "[section]"), _default_text(found), text))
    yield from _table(("key", "type", "default", ""), rows)
    for nested, target in chain.from_iterable(below.values()):
        yield from section(nested, target)


def _nested_key(key: str, name: str, found: FieldInfo, nested: type[BaseModel]) -> str:
    """How a section within a section is written: `regrow.prepare.sources[]` for the items of a list, `regrow.task.label` for
    one of several kinds."""
    items = "[]" if get_origin(found.annotation) is tuple else ""
    kind = f".{nested.model_fields['kind'].default}" if len(list(_models(found.annotation))) > 1 else ""
    return f"{key}.{name}{items}{kind}".removeprefix("profile.")


def status_keys() -> Iterator[str]:
    """The objects of `regrow status --json`: a run, and those in it."""
    for name, kind in (("A run", RunStatus), ("jobs[]", JobStatus), ("attempts[]", AttemptTimes), ("spent", Spent)):
        said = field_docstrings(kind)
        yield from (f"**{name}**: {inspect.getdoc(kind)}", "")
        rows = (
            (f"`{each.name}`", _type_words(each.type), said.get(each.name, "")) for each in dataclasses.fields(kind)
        )
        yield from _table(("key", "type", ""), rows)


def journal_events() -> Iterator[str]:
    """Every event of a journal: what it says, and its fields."""
    for name, kind in KINDS.items():
        if kind is TornLine:
            continue
        yield from (f"## `{name}` {{#{name}}}", "", inspect.getdoc(kind) or "", "")
        said, own = field_docstrings(kind), set(kind.__struct_fields__) - set(Event.__struct_fields__)
        found = [field for field in msgspec.structs.fields(kind) if field.name in own]
        if found:
            rows = ((f"`{field.name}`", _type_words(field.type), said.get(field.name, "")) for field in found)
            yield from _table(("field", "type", ""), rows)


def field_docstrings(model: type) -> dict[str, str]:
    """What stands under each field of a class: python itself forgets it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The classes of ours in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _type_text(found: FieldInfo) -> str:
    first, *null = _type_words(found.annotation).rsplit(" or `null`", 1)
    return " ".join([first, *_bounds(found.metadata), *["or `null`" for _ in null]])


def _type_words(annotation: Any) -> str:
    """An annotation in words that need no Python."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([_type_words(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join("`null`" if each is type(None) else _type_words(each) for each in arguments)
    if origin in (tuple, list):
        return f"list of {_type_words(arguments[0])}"
    if origin is dict:
        return "keys and values"
    if dataclasses.is_dataclass(annotation):
        return "object"
    return "section" if any(_models(annotation)) else WORDS[annotation]


def _bounds(metadata: Sequence[Any]) -> list[str]:
    return [
        f"{sign} {getattr(each, name)}" for each in metadata for name, sign in BOUNDS.items() if hasattr(each, name)
    ]


def _default_text(found: FieldInfo) -> str:
    if found.is_required():
        return "required"
    default = found.get_default(call_default_factory=True)
    return "" if isinstance(default, BaseModel) else f"`{json.dumps(default, ensure_ascii=False)}`"


def stage_parameters() -> Iterator[str]:
    """What may stand under prepare, train, evaluate and report: submitit's own parameters."""
    slurm = inspect.signature(_make_sbatch_string).parameters
    shared = {name: kind.__name__ for name, kind in submitit.AutoExecutor._typed_parameters().items()}
    types = {name: shared.get(name) or str(slurm[name.removeprefix("slurm_")].annotation) for name in sorted(
        SHARED_PARAMETERS | SLURM_PARAMETERS)}  # fmt: skip
    yield from _table(("parameter", "type"), ((f"`{name}`", f"`{_short(kind)}`") for name, kind in types.items()))


def _short(kind: str) -> str:
    return kind.replace("typing.", "").removeprefix("<class '").removesuffix("'>")


def commands() -> Iterator[str]:
    """Every command of `regrow`, with its arguments and options."""
    yield from _command(get_command(app), "regrow", None)


def _command(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child
            yield from _command(child, each, context)
        return
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from (f"### `{path}` {{#{path.replace(' ', '-')}}}", "", command.help or "", "", "```text", usage, "```", "")
    rows = [row for parameter in command.params if (row := _parameter(parameter, context))]
    yield from _table(("", "", "default"), rows)


def _parameter(parameter: click.Parameter, context: click.Context) -> Sequence[str] | None:
    """An argument's or option's row; None: `--help`."""
    if isinstance(parameter, click.Argument):
        return f"`{parameter.make_metavar(context)}`", getattr(parameter, "help", None) or "", ""
    record = parameter.get_help_record(context)
    if record is None or "--help" in parameter.opts:
        return None
    default = parameter.get_default(context)
    is_said = default not in (None, False, [], ()) and not parameter.required
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{record[0]}`", getattr(parameter, "help", None) or "", f"`{shown}`" if is_said else ""


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') if '`' not in cell else _in_code(cell) for cell in row)} |"
    yield ""


def _in_code(cell: str) -> str:
    return cell.replace("|", r"\|")


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "config": lambda: section(Regrow, "regrow"),
    "profile": lambda: section(ClusterProfile, "profile"),
    "stage parameters": stage_parameters,
    "commands": commands,
    "status json": status_keys,
    "events": journal_events,
}
