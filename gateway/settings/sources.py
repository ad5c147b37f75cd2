"""Where settings come from and what is said when they are wrong: TOML and environment to one tree, errors to sentences.

Invariants: reading never stops at the first mistake of its kind; a sentence begins with the dotted path, and never
repeats a secret: a value from below `identity`, `shared` or `set_headers`, or of a key or token. Nothing here knows which
settings there are: the model is handed in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

Tree: TypeAlias = dict[str, Any]
"""What TOML yields: tables, lists, strings, numbers."""

Loc: TypeAlias = tuple[int | str, ...]

PREFIX = "SAGAQL_"
NESTING = "__"
SHORT_NAMES = {"SAGAQL_PORT": "SAGAQL_SERVER__PORT"}
"""Names worth typing by hand; the long one wins where both are set."""

_SECRETS = frozenset({"identity", "game_day_key", "set_headers", "shared", "token", "sha256"})
"""Sections and settings whose values are repeated nowhere."""

_LONGEST_SHOWN = 80  # characters of a wrong value
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>[^}]*))?\}")

_ORIGIN = re.compile(
    r"(?!https://.*:443$)(?!http://.*:80$)[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
)
"""Scheme, host and port, as a browser writes them: the usual port is left out."""

_HOW_TO_START = (
    "write a project of your own with `sagaql init FOLDER`, name another file with --config or SAGAQL_CONFIG, "
    "or go to the folder that has it"
)


class SettingsInvalid(Exception):
    """Every mistake that was found, each a sentence that begins with the dotted path of the setting."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


# -- reading -----------------------------------------------------------------------------------------------------------


def toml_tree(parsed: Tree, *, environ: Mapping[str, str]) -> Tree:
    """The file's tables, with `${NAME}` and `${NAME:-default}` filled in; `$${` stands for a plain `${`.

    Raises: SettingsInvalid for all names that are not set.
    """
    unset: list[str] = []
    tree = filled(parsed, environ=environ, unset=unset)
    if unset:
        raise SettingsInvalid(unset)
    return cast("Tree", tree)


def filled(value: object, *, environ: Mapping[str, str], unset: list[str], path: Loc = ()) -> object:
    """`value` with every reference replaced; what cannot be replaced is added to `unset` as a sentence."""
    again = partial(filled, environ=environ, unset=unset)
    match value:
        case str():
            return _REFERENCE.sub(partial(_replacement, environ=environ, unset=unset, path=path), value)
        case dict():
            table = cast("Tree", value)
            return {key: again(below, path=(*path, key)) for key, below in table.items()}
        case list():
            items = cast("list[object]", value)
            return [again(below, path=(*path, index)) for index, below in enumerate(items)]
        case _:
            return value


def environment_tree(model: type[BaseSettings], *, environ: Mapping[str, str]) -> Tree:
    """What variables say: `SAGAQL_SERVER__PORT` is server.port; an empty variable says nothing.

    Raises: SettingsInvalid for sections that do not exist. Names without `__` are left alone: Kubernetes sets
    SAGAQL_SERVICE_HOST and its like for a service that is called sagaql.
    """
    variables = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
    for short, long in SHORT_NAMES.items():
        if short in variables:
            variables.setdefault(long, variables[short])
    if unknown := [*_unknown_sections(variables, tuple(model.model_fields))]:
        raise SettingsInvalid(unknown)
    source = EnvSettingsSource(model, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=NESTING)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    try:
        return source()
    except SettingsError as error:
        raise SettingsInvalid([f"environment: {error}: write lists and tables as JSON"]) from error


def merged(*layers: Mapping[str, Any]) -> Tree:
    """One tree; where two layers say something, the later one does. Tables are merged, lists replaced."""
    tree: Tree = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(tree.get(key), Mapping)
            tree[key] = merged(tree[key], value) if both else value
    return tree


def refers_to(text: str) -> Iterator[str]:
    """The names in the references of a text, defaults or not."""
    return (found["name"] for found in _REFERENCE.finditer(text) if found["name"] is not None)


def parsed(path: Path) -> Tree:
    """The file's tables, as they are written. Raises: SettingsInvalid for a file that is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid([f"there is no {path}: {_HOW_TO_START}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid([f"{path} is not TOML: {error}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid([f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8"]) from error
    except OSError as error:
        raise SettingsInvalid([f"{path} cannot be read: {error.strerror}"]) from error


def _replacement(found: re.Match[str], *, environ: Mapping[str, str], unset: list[str], path: Loc) -> str:
    name, default = found["name"], found["default"]
    if name is None:
        return "${"
    if environ.get(name) or (name in environ and default is None):
        return environ[name]
    if default is None:
        unset.append(f"{dotted(path)}: ${{{name}}} is not set: set {name}, or write ${{{name}:-a default}}")
    return default or ""


def _unknown_sections(variables: Mapping[str, str], sections: Sequence[str]) -> Iterator[str]:
    for name in sorted(variables):
        section, nested, rest = name.removeprefix(PREFIX).partition(NESTING)
        if nested and section.lower() not in sections:
            nearest = _nearest(section.lower(), sections)
            hint = f"; did you mean {PREFIX}{nearest.upper()}{NESTING}{rest}?" if nearest else ""
            yield f"environment: {name} names no section{hint} (sections: {', '.join(sections)})"


# -- wording -----------------------------------------------------------------------------------------------------------


def problems_of(error: ValidationError, *, model: type[BaseModel], environ: Mapping[str, str]) -> list[str]:
    """One sentence a mistake: dotted path, what was found, what is accepted; the variable, if one said it."""
    return [_sentence(details, model=model) + _origin(details["loc"], environ) for details in error.errors()]


def dotted(path: Loc) -> str:
    """`services.catalog.url`, `identity.tokens[2].subject`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _sentence(details: ErrorDetails, *, model: type[BaseModel]) -> str:
    path = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(path, known=names_at(model, path[:-1]))
        case "missing":
            return f"{dotted(path)} is missing: {_expected(details, fallback='it must be given')}"
        case "value_error":
            said = details["msg"].removeprefix("Value error, ")
            return f"{dotted(path)}: {said}" if path else said
        case _:
            return f"{dotted(path)} {_found(details)}: {_expected(details, fallback=details['msg'])}"


def _unknown_key(path: Loc, *, known: Sequence[str]) -> str:
    nearest = _nearest(str(path[-1]), known)
    hint = f"did you mean {dotted((*path[:-1], nearest))}? " if nearest else ""
    return f"{dotted(path)} is not a setting: {hint}known here: {', '.join(known)}"


def _found(details: ErrorDetails) -> str:
    if not _SECRETS.isdisjoint(details["loc"]):
        return "does not fit"
    shown = repr(details["input"])
    return f"is {shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '…'}"


def _expected(details: ErrorDetails, *, fallback: str) -> str:
    says, should_be, what = details["msg"].partition("Input should be ")
    what, _, _ = what.partition(", unable to ")
    return f"it must be {what}" if should_be and not says else fallback


def _origin(path: Loc, environ: Mapping[str, str]) -> str:
    long = PREFIX + NESTING.join(map(str, path)).upper()
    said_by = [name for name in (long, *_shorter(long)) if environ.get(name)]
    return f" (from {said_by[0]})" if said_by else ""


def _shorter(long: str) -> Iterator[str]:
    return (short for short, stands_for in SHORT_NAMES.items() if stands_for == long)


def _nearest(name: str, known: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1)), None)


def names_at(model: type[BaseModel], path: Loc) -> list[str]:
    """The names that are known at `path`, sorted as declared; none where the path leads to no table."""
    here: Any = model
    for part in path:
        here = _below(here, part)
    return [*_fields(here)]


def _below(kind: Any, part: int | str) -> Any:
    declared = _fields(kind)
    if declared:
        return _bare(declared.get(str(part)))
    arguments = get_args(kind)  # a mapping's or a sequence's: its last argument is what it holds
    values = [each for each in arguments if each is not Ellipsis]
    return _bare(values[-1]) if values else None


def _fields(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: info.annotation for name, info in kind.model_fields.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return {each.name: each.type for each in fields(kind)}
    return {}


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


# -- values ------------------------------------------------------------------------------------------------------------

_SIZE = re.compile(r"(?P<number>\d+)\s*(?P<unit>B|KiB|MiB|GiB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def size(text: object) -> int:
    """Bytes of "1MiB", "64KiB" or a plain number.

    Raises: ValueError that names the accepted units.
    """
    match = _SIZE.fullmatch(str(text).strip()) if isinstance(text, int | str) and not isinstance(text, bool) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size: write bytes or a number and a unit, as in 65536, 64KiB or 1MiB")
    return int(match["number"]) * _BYTES[match["unit"]]


def python_name(text: str) -> str:
    """`text`, if it is "module:name" or "package.module:name". Raises: ValueError otherwise."""
    module, colon, name = text.partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValueError(f"{text!r} names nothing in Python: write it as module:name")
    return text


def number(text: object) -> object:
    """That of "294", as the environment says it; anything else as it is."""
    return int(text) if isinstance(text, str) and text.isdecimal() else text


def words(text: object) -> object:
    """The parts of "a, b"; anything but a string as it is."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The same, for what browsers could send as `Origin`; or "*" alone. Raises: ValueError."""
    if "*" in texts and len(texts) > 1:
        raise ValueError('"*" lets everybody in: write it alone, or list the origins')
    for text in texts:
        if text != "*" and not _ORIGIN.fullmatch(text):
            raise ValueError(
                f'{text!r} is no origin: write "https://app.example" or "http://localhost:3000", in lower case, '
                "without a path and without the port that the scheme has by itself"
            )
    return texts


def written(parse: Callable[[Any], Any], kinds: tuple[type, ...]) -> Callable[[object], Any]:
    """`parse`, for values of `kinds` only; a boolean is a number to Python and to nobody else."""

    def parsed(value: object) -> Any:
        if isinstance(value, kinds) and not isinstance(value, bool):
            return parse(value)
        return parse(repr(value))

    return parsed
