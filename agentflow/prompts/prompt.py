"""`prompt(...)`: a prompt as code, with typed variables that are held against its templates when the module is imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypedDict, Unpack, cast

from agentflow.engine.context import recording
from agentflow.engine.speaking import remember
from agentflow.errors import DefinitionError, PromptError
from agentflow.prompts import contract
from agentflow.prompts.body import Body, Message, Slot, canonical
from agentflow.prompts.filled import Filled, Version
from agentflow.prompts.pinning import Choosing, Pin, body_of, overridden, version_for
from agentflow.prompts.registry import known
from agentflow.storage.pins import Held, Wanted
from agentflow.storage.prompts import Own

if TYPE_CHECKING:
    from pydantic import BaseModel

P = ParamSpec("P")
RESERVED = frozenset({"sticky", "slots", "label", "version", "pin"})
"""What `get` takes beside the variables."""


class PromptOptions(TypedDict, total=False):
    """What changes a prompt's call, beside its messages.

    `model` is a name, `params` JSON for its provider, `tools` JSON schemas of tools, `response` the type (or JSON schema) of the answer,
    `partials` the texts of `{{> name}}`. `fence` puts texts from outside (`Untrusted[str]`) between tags that they cannot hold; `trusting`
    lets them stand in system messages. `description` is for people.
    """

    model: str
    params: Mapping[str, Any]
    tools: Sequence[Any]
    response: Any
    partials: Mapping[str, str]
    fence: bool
    trusting: bool
    description: str


class Prompt(Generic[P]):
    """A prompt that code defines. Its body is a version like any other: it has the same hash here, in the registry and in a file."""

    def __init__(
        self, name: str, variables: type[BaseModel], messages: Sequence[Message | Slot], options: PromptOptions, order: tuple[str, ...] = ()
    ) -> None:
        check_name(name)
        self.name = name
        self.variables = variables
        self.order = order
        self.description = options.get("description", "")
        self.contract: dict[str, Any] = variables.model_json_schema()
        if taken := RESERVED & variables.model_fields.keys():
            raise DefinitionError(f"{name}: {sorted(taken)[0]!r} cannot be a variable.", hint=f"get() takes {sorted(RESERVED)} itself.")
        fenced = contract.untrusted(self.contract) if options.get("fence") else ()
        self.body = Body(
            messages=tuple(messages),
            model=options.get("model"),
            params=dict(options.get("params", {})),
            tools=list(options.get("tools", ())),
            response_schema=_schema(options.get("response")),
            includes=dict(options.get("partials", {})),
            fenced=fenced,
        )
        self.trusting = options.get("trusting", False)
        contract.check(self.body, self.contract, trusting=self.trusting)
        self.own = Own(name, self.body.hash, self.body.json, canonical(self.contract), self.description, self.trusting)
        known[name] = self

    def values(self, *args: Any, **variables: Any) -> dict[str, Any]:
        """The variables as JSON. Raises `PromptError` for what is missing, unknown or of another type."""
        from pydantic import ValidationError

        if len(args) == 1 and isinstance(args[0], self.variables) and not variables:
            return args[0].model_dump(mode="json")
        given = {**dict(zip(self.order, args, strict=False)), **variables}
        if len(args) > len(self.order) or unknown(given, self.variables):
            wrong = ", ".join(unknown(given, self.variables)) or f"argument {len(self.order) + 1}"
            raise PromptError(f"{self.name} has no variable {wrong}.", hint=f"It has {', '.join(self.variables.model_fields) or 'none'}.")
        try:
            return self.variables.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise PromptError(f"{self.name} cannot be filled: {told}.", hint="See its variables.", errors=error.errors()) from None

    async def get(
        self,
        *args: Any,
        sticky: str | None = None,
        slots: Mapping[str, Sequence[Any]] | None = None,
        label: str = "live",
        version: int | str | None = None,
        pin: Pin = "run",
        **variables: Any,
    ) -> Filled:
        """Fill in the version that the run holds: chosen when it first asks, recorded, and the same after retries, crashes and deploys.

        A run takes what the runs above it hold; else what is live under `label`: what somebody released, or what the code has. `version` (a
        number or a hash) is taken whatever is live. Where several are live side by side, `sticky`, as the id of a tenant, keeps the choice.
        `slots` are the messages for `slot("history")` and its like. `pin="thread"`: the next runs of the thread take the same, until it is
        upgraded. `pin="step"`: each call takes what is live then, and records it. Outside of a run it is what is live now.

        Raises `PromptError` for variables that do not fit, `VersionNotFound`, `VersionRevoked`, and `NotInRun` inside a step.

            p = await support.get(name=t.name, issue=t.text, sticky=t.tenant)
        """
        values, choosing = self.values(*args, **variables), Choosing(label=label, version=version, sticky=sticky, pin=pin)
        filled = (await version_for(self.wanted(values, slots, choosing))).fill(values, slots)
        run = recording()
        if run is not None:
            remember(run, filled)
        return filled

    def fill_by(
        self,
        live: Callable[[Wanted], Held | None],
        /,
        *args: Any,
        sticky: str | None = None,
        slots: Mapping[str, Sequence[Any]] | None = None,
        label: str = "live",
        **variables: Any,
    ) -> Filled:
        """Fill in the version that `live` says, None for the code's own. Raises as `get`."""
        values = self.values(*args, **variables)
        held = live(self.wanted(values, slots, Choosing(label=label, sticky=sticky)))
        version = Version(self.name, self.body) if held is None else Version(self.name, body_of(held.body), held.number, held.variant)
        return version.fill(values, slots)

    def wanted(self, values: Mapping[str, Any], slots: Mapping[str, Sequence[Any]] | None, choosing: Choosing) -> Wanted:
        """What a run is asked for, that is to be filled with these JSON values."""

        def fits(text: str) -> str:
            return Version(self.name, body_of(text)).fill(values, slots).rendered

        chosen = {field.name: getattr(choosing, field.name) for field in fields(choosing)}
        return Wanted(prompt=self.name, fits=fits, own=self.own, variables=values, **chosen)

    def fill(self, *args: P.args, **variables: P.kwargs) -> Filled:
        """Fill in the body that the code has, whatever is released: for unit tests of a prompt.

        >>> support.fill(name="Ada", issue="…").system
        'You help Ada.'
        """
        return Version(self.name, self.body).fill(self.values(*args, **variables))


def unknown(given: Mapping[str, Any], variables: type[BaseModel]) -> list[str]:
    """The names that are no variables."""
    return sorted(given.keys() - variables.model_fields.keys())


class _Maker:
    """Makes prompts: `prompt(…)`, `@prompt.fn(…)`."""

    def __call__(
        self,
        name: str,
        *,
        messages: Sequence[Message | Slot] | None = None,
        text: str | None = None,
        vars: type[BaseModel] | None = None,
        **options: Unpack[PromptOptions],
    ) -> Prompt[...]:
        """Define a prompt, of `messages` or of one `text`; `vars` is a pydantic model of its variables.

        Raises `ContractError` for templates that use what `vars` does not have, `TemplateError` for what is no template, `DefinitionError`.

            support = prompt("support", vars=SupportVars, model="anthropic:claude-sonnet-4-6",
                             messages=[system("You help {{name}}."), slot("history"), user("{{issue}}")])
        """
        if (messages is None) == (text is None):
            raise DefinitionError(f"{name}: a prompt has messages, or one text.", hint="Give messages=[…] or text=…, one of them.")
        said = [Message("user", text)] if text is not None else list(messages or ())
        return Prompt(name, _closed(vars), said, options)

    def load(self, path: str | Path, *, vars: type[BaseModel] | None = None, trusting: bool = False) -> Prompt[...]:
        """Define a prompt by its file, `support.prompt.md`; it has the hash that the file had where it was exported.

        `vars` is a pydantic model of its variables; without, they are those of the file's front matter. `trusting` lets text from outside
        stand in system messages.

        Raises `PromptError` for what is no such file, `ContractError` for templates that use what is no variable, `DefinitionError`.

            support = prompt.load("prompts/support.prompt.md", vars=SupportVars)
        """
        from agentflow.prompts import files
        from agentflow.prompts.variables import model_of

        read = files.read(path)
        body = read.body
        options = PromptOptions(
            params=body.params,
            tools=body.tools,
            response=None if body.response_schema is None else dict(body.response_schema),
            partials=body.includes,
            fence=bool(body.fenced),
            trusting=trusting,
            description=read.description,
        )
        if body.model is not None:
            options["model"] = body.model
        made = Prompt[...](read.name, model_of(read.name, read.variables or {}) if vars is None else vars, body.messages, options)
        if made.body.hash != body.hash:
            wrong = f"{path} fences {list(body.fenced)}, and text from outside are {list(made.body.fenced)}."
            raise DefinitionError(wrong, hint='Mark the variables with Untrusted[str], or with "x-untrusted: true" in the file.')
        return made

    def fn(self, name: str | None = None, **options: Unpack[PromptOptions]) -> Callable[[Callable[P, Any]], Prompt[P]]:
        """Make a function a prompt: its docstring is the template, its signature the variables. The function itself never runs.

        @prompt.fn("title")
        def title(topic: str, words: int = 6) -> str:
            \"\"\"Write a title of {{words}} words about {{topic}}.\"\"\"
        """

        def made(function: Callable[P, Any]) -> Prompt[P]:
            from pydantic import ConfigDict, create_model

            template = inspect.getdoc(function)
            if not template:
                raise DefinitionError(f"{function.__name__} has no docstring.", hint="It is the template.")
            signature = inspect.signature(function, eval_str=True)
            fields = {
                one.name: (_annotation(one), ... if one.default is one.empty else one.default) for one in signature.parameters.values()
            }
            variables = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **cast("dict[str, Any]", fields))
            return Prompt(name or function.__name__, variables, [Message("user", template)], options, tuple(signature.parameters))

        return made

    def override(self, versions: Mapping[str, int | str | Prompt[...]]) -> AbstractContextManager[None]:
        """Have this process choose these versions, whatever is live: for tests, scripts and notebooks.

        A version is a number, `"v5"`, a hash, or a prompt that code has. What a run holds already it goes on to hold.

            with prompt.override({"support": "v5"}):
                await handle.run(ticket)
        """
        return overridden({name: one.own if isinstance(one, Prompt) else one for name, one in versions.items()})


prompt = _Maker()
"""Define prompts: `prompt("support", vars=…, messages=[…])`, `@prompt.fn("title")`. `prompt.override({…})` chooses versions in tests."""


def _annotation(one: inspect.Parameter) -> Any:
    if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL, one.POSITIONAL_ONLY) or one.annotation is one.empty:
        raise DefinitionError(f"{one.name} is no variable.", hint="Each argument has a name and a type: topic: str.")
    return one.annotation


def _closed(variables: type[BaseModel] | None) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    return create_model("NoVariables", __config__=ConfigDict(extra="forbid")) if variables is None else variables


def _schema(response: Any) -> dict[str, Any] | None:
    from pydantic import TypeAdapter

    if response is None or isinstance(response, dict):
        return cast("dict[str, Any] | None", response)
    return TypeAdapter[Any](response).json_schema()


def check_name(name: str) -> None:
    """Raise `DefinitionError` for what cannot be the name of a prompt."""
    if not name or len(name) > 128 or any(one not in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./" for one in name):
        raise DefinitionError(f"{name!r} is no name of a prompt.", hint="Use letters, digits, - _ . and /, at most 128.")
