import type { AgentflowError, Waitpoint } from "@agentflow/client";
import { byUrgency, isFor, questionOf, type UseApprovalsResult, useAgentflow, useApprovals } from "@agentflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { refresh } from "../live/polled.ts";
import { useInbox } from "../live/server.ts";
import { useGroups, useMine, useName } from "../session.ts";

interface Inbox extends Pick<UseApprovalsResult, "error" | "isLoading"> {
  /** The most urgent first; what was decided while it was seen stays where it was. */
  items: readonly Waitpoint[];
  /** How many of them are open, of those that are not only somebody else's. */
  open: number;
  settled: number;
  onAnswered: (one: Waitpoint) => void;
  clear: () => void;
}

/** What waits for people, for everybody or for whoever sits here. */
export function useInboxItems(): Inbox {
  const { pending, error, isLoading, reload } = useApprovals();
  const names = useNames();
  const [mine] = useMine();
  const { known, settle, clear } = useKnown(pending);
  const { data } = useInbox();
  // A question that is given to others wakes no run, so no stream tells of it.
  useEffect(() => {
    if (data !== undefined) reload();
  }, [data, reload]);
  // And the stream tells of what the count beside the page's name does not know yet.
  // biome-ignore lint/correctness/useExhaustiveDependencies: other questions are another count
  useEffect(() => refresh("inbox"), [pending]);
  const items = useMemo(() => known.filter((one) => !mine || isFor(questionOf(one), names)).sort(byUrgency), [known, mine, names]);
  const onAnswered = useCallback(
    (one: Waitpoint) => {
      settle(one);
      reload();
    },
    [settle, reload],
  );
  const open = items.filter((one) => one.state === "pending").length;
  return { items, open, settled: items.length - open, error, isLoading, onAnswered, clear };
}

/** Whoever sits here: their name, and the groups that they say they are in. */
function useNames(): readonly string[] {
  const [name] = useName();
  const [groups] = useGroups();
  return useMemo(() => [name, ...groups.split(",")].map((one) => one.trim()).filter(Boolean), [name, groups]);
}

const NONE: ReadonlyMap<string, Waitpoint> = new Map();

/** All that was open when it was seen here: what is gone from there stays as it was until it is known what became of it. */
function useKnown(pending: readonly Waitpoint[]) {
  const client = useAgentflow();
  const [kept, keep] = useState(NONE);
  const asked = useRef(new Set<string>());
  const settle = useCallback((one: Waitpoint) => keep((last) => new Map(last).set(one.id, one)), []);
  const forget = useCallback((id: string) => keep((last) => new Map([...last].filter(([known]) => known !== id))), []);
  useEffect(() => keep((last) => merged(last, pending)), [pending]);
  useEffect(() => {
    const open = new Set(pending.map((one) => one.id));
    for (const one of kept.values()) {
      if (one.state !== "pending" || open.has(one.id) || asked.current.has(one.id)) continue;
      asked.current.add(one.id);
      client.waitpoints
        .get(one.id)
        .then(
          (now) => now.state !== "pending" && settle(now),
          // Deleted with its run; whatever else it is, the next look tells.
          (failure: AgentflowError) => failure.status === 404 && forget(one.id),
        )
        .finally(() => asked.current.delete(one.id));
    }
  }, [client, kept, pending, settle, forget]);
  const known = useMemo(() => [...merged(kept, pending).values()], [kept, pending]);
  const clear = useCallback(() => keep((last) => new Map([...last].filter(([, one]) => one.state === "pending"))), []);
  return { known, settle, clear };
}

/** What is open, and what was; an end is final, whatever an older answer says. */
function merged(kept: ReadonlyMap<string, Waitpoint>, pending: readonly Waitpoint[]): ReadonlyMap<string, Waitpoint> {
  const open = pending.filter((one) => (kept.get(one.id)?.state ?? "pending") === "pending");
  return new Map([...kept, ...open.map((one) => [one.id, one] as const)]);
}
