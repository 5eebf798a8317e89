"""What plays the models of the recipes where there is no API key: rules, which look at what the model would be told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart

from agentflow.testing.models import Said, ScriptedModel, call, scripted_model, text


def told(messages: list[ModelMessage]) -> str:
    """What the agent was asked."""
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    return str(next(part.content for part in parts if isinstance(part, UserPromptPart)))


def returned(messages: list[ModelMessage]) -> list[Any]:
    """What the agent's tools returned."""
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    return [part.content for part in parts if isinstance(part, ToolReturnPart)]


def result(**fields: Any) -> list[Said]:
    """An answer with a type: for pydantic-ai it is a call."""
    return [call("final_result", fields)]


def outliner() -> ScriptedModel:
    """Three points about any topic."""

    def outline(messages: list[ModelMessage]) -> Sequence[Said]:
        topic = told(messages).removeprefix("Topic: ")
        return result(title=topic.capitalize(), points=[f"What goes wrong without: {topic}.", "How it works.", "What it costs."])

    return scripted_model(outline)


def article_writer() -> ScriptedModel:
    """The outline, as Markdown."""

    def write(messages: list[ModelMessage]) -> Sequence[Said]:
        title, *points = told(messages).splitlines()
        return [text("\n\n".join([f"# {title.removeprefix('Title: ')}", *(point.removeprefix("- ") for point in points)]))]

    return scripted_model(write)


def headliner() -> ScriptedModel:
    """The title is the headline."""
    return scripted_model(lambda messages: [text(told(messages).splitlines()[0].removeprefix("# "))])


def dispatcher() -> ScriptedModel:
    """Some words give a desk away."""

    def choose(messages: list[ModelMessage]) -> Sequence[Said]:
        question = told(messages).lower()
        for desk, words in {"billing": ("charged", "invoice", "refund"), "technical": ("error", "broken", "does not work")}.items():
            if found := [word for word in words if word in question]:
                return result(desk=desk, reason=f"It says {found[0]!r}.")
        return result(desk="general", reason="It is about nothing in particular.")

    return scripted_model(choose)


def billing_desk() -> ScriptedModel:
    """Knows nothing, and says what it would do."""
    return scripted_model([text("I look at your invoices, and pay back what was charged twice.")])


def technical_desk() -> ScriptedModel:
    """Asks back."""
    return scripted_model([text("Which message do you see, word for word?")])


def general_desk() -> ScriptedModel:
    """Says that it was heard."""
    return scripted_model([text("Thank you for writing. A colleague reads it today.")])


def planner() -> ScriptedModel:
    """Three questions, one for each longer word."""

    def plan(messages: list[ModelMessage]) -> Sequence[Said]:
        words = re.findall(r"[a-z]{4,}", told(messages).lower())
        subjects = [word for word in words if word not in {"what", "when", "happens", "does", "with", "from", "that", "this"}][:3]
        return result(questions=[f"What do the documents say about {subject}?" for subject in [*subjects, "leases"][:3]])

    return scripted_model(plan)


def researcher() -> ScriptedModel:
    """Looks for the last word of the question, and quotes what it finds first."""

    def look(messages: list[ModelMessage]) -> Sequence[Said]:
        return [call("find", {"words": told(messages).rstrip("?").split()[-1]}, id="find")]

    def quote(messages: list[ModelMessage]) -> Sequence[Said]:
        [found] = returned(messages)
        return [text(found[0][:200] if found else "I found nothing.")]

    return scripted_model(look, quote)


def synthesizer() -> ScriptedModel:
    """The findings as they are."""
    return scripted_model(lambda messages: [text(told(messages).partition("Findings:\n\n")[2])])


def explainer() -> ScriptedModel:
    """Begins with jargon, and takes the words out that were criticised."""

    def explain(messages: list[ModelMessage]) -> Sequence[Said]:
        topic, *rest = told(messages).splitlines()
        if not rest:
            thing = topic.removeprefix("Topic: ")
            return [text(f"Think of {thing} as one atomic promise: all of it happens, or nothing does, deterministically.")]
        draft, criticism = (line.partition(": ")[2] for line in rest)
        for word in re.findall(r"'(\w+)'", criticism)[:1]:
            draft = re.sub(rf",? {word}", "", draft)
        return [text(draft)]

    return scripted_model(explain)


def judge() -> ScriptedModel:
    """Accepts a draft without words that no child knows."""

    def judged(messages: list[ModelMessage]) -> Sequence[Said]:
        hard = [word for word in ("atomic", "deterministically") if word in told(messages)]
        return result(accepted=not hard, criticism=f"A child does not know {', '.join(map(repr, hard))}." if hard else "Good.")

    return scripted_model(judged)


def refund_desk() -> ScriptedModel:
    """Wants the sum of the letter back for its order, and says what was paid."""

    def ask(messages: list[ModelMessage]) -> Sequence[Said]:
        letter = told(messages)
        order, euros = re.search(r"o-\d+", letter), re.search(r"(\d+) euros", letter)
        return [call("pay_back", {"order_id": order[0] if order else "o-1", "cents": int(euros[1]) * 100 if euros else 1_000}, id="pay")]

    return scripted_model(ask, lambda messages: [text(f"Done: {returned(messages)[0]}.")])


def file_reviewer() -> ScriptedModel:
    """Remarks on what a rule finds in the lines that a diff adds."""
    rules = {
        "except:": ("blocker", "This hides every error, also a Ctrl-C."),
        "eval(": ("blocker", "This runs whatever it is given."),
        "print(": ("nit", "Is this left over?"),
    }

    def review(messages: list[ModelMessage]) -> Sequence[Said]:
        added = [line[1:].strip() for line in told(messages).splitlines() if line.startswith("+") and not line.startswith("+++")]
        found = [(line, *rule) for line in added for sign, rule in rules.items() if sign in line]
        return result(response=[{"line": line, "severity": severity, "text": why} for line, severity, why in found])

    return scripted_model(review)


def review_summarizer() -> ScriptedModel:
    """Counts."""

    def count(messages: list[ModelMessage]) -> Sequence[Said]:
        remarks = [line for line in told(messages).splitlines() if line.startswith("- ")]
        blockers = sum("**blocker**" in line for line in remarks)
        return [text(f"{len(remarks)} remarks, {blockers} of them in the way of a merge." if remarks else "Nothing is wrong with it.")]

    return scripted_model(count)


def chronicler() -> ScriptedModel:
    """Counts lines that came and went."""

    def tell(messages: list[ModelMessage]) -> Sequence[Said]:
        lines = told(messages).splitlines()[1:]
        came, went = (sum(line.startswith(sign) and not line.startswith(sign * 3) for line in lines) for sign in "+-")
        return [text(f"{came} lines came and {went} went.")]

    return scripted_model(tell)


def incident_reporter() -> ScriptedModel:
    """The alerts, one after the other."""

    def report(messages: list[ModelMessage]) -> Sequence[Said]:
        service, *seen = told(messages).splitlines()
        return [text(f"{service.removeprefix('Service: ')}: {', then '.join(line.removeprefix('- ') for line in seen)}.")]

    return scripted_model(report)


def traveller() -> ScriptedModel:
    """Looks flights up, and answers with all that it was told since."""

    def speak(messages: list[ModelMessage]) -> Sequence[Said]:
        if len(messages) == 1:
            return [text("I look at Friday.\n"), call("find_flights", {"day": "Friday"}, id="friday")]
        parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
        heard = [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
        return [text(f"With all you said ({'; '.join(heard)}), take the one at 06:10.")]

    return scripted_model(*[speak] * 50)
