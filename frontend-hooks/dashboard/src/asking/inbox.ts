import type { Waitpoint } from "@agentflow/client";
import { byUrgency, isFor, questionOf, type UseApprovalsResult, useAgentflow, useApprovals } from "@agentflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
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
  const { settled, settle, clear } = useSettled(pending, isLoading);
  const { data } = useInbox();
  // A question that is given to others wakes no run, so no stream tells of it.
  useEffect(() => {
    if (data !== undefined) reload();
  }, [data, reload]);
  const items = useMemo(() => {
    const shown = [...pending.filter((one) => !settled.has(one.id)), ...settled.values()];
    return shown.filter((one) => !mine || isFor(questionOf(one), names)).sort(byUrgency);
  }, [pending, settled, mine, names]);
  const onAnswered = useCallback(
    (one: Waitpoint) => {
      if (one.state !== "pending") settle(one);
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

/** What was open when it was seen here, and has ended since. */
function useSettled(pending: readonly Waitpoint[], isLoading: boolean) {
  const client = useAgentflow();
  const [settled, keep] = useState(NONE);
  const seen = useRef<ReadonlySet<string>>(new Set());
  const settle = useCallback((one: Waitpoint) => keep((last) => new Map(last).set(one.id, one)), []);
  useEffect(() => {
    if (isLoading) return;
    const now = new Set(pending.map((one) => one.id));
    const gone = [...seen.current].filter((id) => !now.has(id));
    seen.current = now;
    for (const id of gone) {
      // Another look tells, if this one does not.
      client.waitpoints.get(id).then(
        (one) => one.state !== "pending" && settle(one),
        () => undefined,
      );
    }
  }, [client, pending, isLoading, settle]);
  return { settled, settle, clear: useCallback(() => keep(NONE), []) };
}
