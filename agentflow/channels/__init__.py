"""Where people and machines are told of waitpoints: `Agentflow(channels=[Slack(…)])`, then `approve(…, notify=["slack:#ops"])`.

A channel of your own is a class with what `Channel` says. It is told each thing at least once, and of one waitpoint one after the other:

    class Pager:
        name = "pager"
        reaches_people = True
        events = frozenset({"requested", "escalated"})

        def owner(self, address: str) -> str | None:
            return address

        async def send(self, notice: Notice) -> str | None:
            await page(notice.address, notice.question.title, notice.link, key=notice.id)
"""

from __future__ import annotations

from agentflow.channels.console import Console
from agentflow.channels.email import Email
from agentflow.channels.notice import Channel, ChannelError, Notice, Question
from agentflow.channels.people import People
from agentflow.channels.slack import Slack
from agentflow.channels.webhook import Webhook

__all__ = ["Channel", "ChannelError", "Console", "Email", "Notice", "People", "Question", "Slack", "Webhook"]
