"""Who is where: the addresses of people on each channel, and who somebody on a channel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentflow.errors import ConfigurationError
from agentflow.storage.policy import person_of


class People:
    """A directory of people: of each, by name, their address on each channel; and of each group, who is in it.

    To look them up elsewhere, override `addresses`, `actor` and `groups`.

        People({"maria": {"email": "maria@acme.test", "slack": "U024BE7LH"}}, groups={"ops": ["maria"]})
    """

    def __init__(self, known: Mapping[str, Mapping[str, str]] | None = None, *, groups: Mapping[str, Sequence[str]] | None = None) -> None:
        self._known = {} if known is None else {name: dict(addresses) for name, addresses in known.items()}
        self._groups = {} if groups is None else {name: tuple(members) for name, members in groups.items()}
        self._actors: dict[tuple[str, str], str] = {}
        for name, addresses in self._known.items():
            for channel, address in addresses.items():
                if self._actors.setdefault((channel, address), name) != name:
                    raise ConfigurationError(f"Two people have the {channel} address {address!r}.", hint="Give each their own.")

    async def addresses(self, channel: str, who: str) -> Mapping[str, str]:
        """Addresses of `user:maria` or of all in `group:ops` on a channel, by name; those who have none there are left out."""
        kind, _, name = who.partition(":")
        names = (name,) if kind == "user" else self._groups.get(name, ())
        return {one: self._known[one][channel] for one in names if channel in self._known.get(one, {})}

    async def actor(self, channel: str, address: str) -> str | None:
        """Who has that address on a channel, by the name under which they decide."""
        return self._actors.get((channel, address))

    async def groups(self, actor: str) -> frozenset[str]:
        """Which groups somebody is in."""
        person = person_of(actor)
        return frozenset(name for name, members in self._groups.items() if person in map(person_of, members))
