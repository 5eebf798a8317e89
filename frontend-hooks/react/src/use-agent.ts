import type { AgentflowError, Answer, ApprovalView, ConnectionState, RunView } from "@agentflow/client";
import { useCallback, useMemo, useState } from "react";
import { type AgentMessage, assistantMessage, storedMessages, userMessage } from "./agent-messages.ts";
import { useLatest } from "./latest.ts";
import { useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { runsTogether } from "./together.ts";
import { type ApprovalStatus, approvalStatus, decided } from "./use-approval.ts";
import { errorOf, useRequest } from "./use-request.ts";
import { useOnEnd } from "./use-run.ts";
import { useChanges } from "./use-thread.ts";

/** A conversation with an agent. */
export interface UseAgentOptions {
  /** The conversation to go on with; a new one unless given. */
  readonly threadId?: string;
  /** What a server that rendered the page knows already. */
  readonly initialMessages?: readonly AgentMessage[];
  /** A run of the conversation has ended: its stream has said so. */
  readonly onEnd?: (run: RunView) => void;
}

/** A conversation, and what can be done in it. */
export interface UseAgentResult {
  readonly messages: readonly AgentMessage[];
  /** `submitted` until the agent says something, `waiting` for a person's answer. */
  readonly status: "ready" | "submitted" | "streaming" | "waiting" | "error";
  /** Say something. While the agent works, it is the next turn. */
  readonly send: (text: string) => Promise<{ readonly runId: string }>;
  /** Say the last thing again. */
  readonly regenerate: () => Promise<{ readonly runId: string }>;
  /** Ask the run that works to stop. */
  readonly cancel: (reason?: string) => Promise<void>;
  /** Stop following; the runs go on. */
  readonly detach: () => void;
  /** What a person is asked now. */
  readonly approvals: readonly ApprovalView[];
  readonly resolve: (approvalId: string, answer: Answer) => Promise<ApprovalStatus>;
  readonly threadId: string;
  /** The run of the last turn. */
  readonly runId: string | null;
  readonly error: AgentflowError | null;
  readonly connection: ConnectionState;
}

/** A turn that began while this component was there, or was under way when it came. */
interface Turn {
  readonly id: string;
  readonly text: string | null;
  readonly runId: string | null;
  readonly failed: AgentflowError | null;
}

const NO_RUN = { runs: [], loaded: true, connection: "idle", failure: null } as const;

/**
 * Talk to an agent: what was said, what it says now, its tools, and what it asks.
 *
 *     const { messages, send, status, approvals, resolve } = useAgent("support", { threadId });
 */
export function useAgent(agent: string, options: UseAgentOptions = {}): UseAgentResult {
  const client = useAgentflow();
  const [fresh] = useState(() => crypto.randomUUID());
  const threadId = options.threadId ?? fresh;
  const { stored, active, error: lookError } = useStored(options.threadId);
  const { turns, begin } = useTurns(agent, threadId, active);
  const stores = useMemo(() => runsTogether(turns.flatMap(({ runId }) => (runId === null ? [] : [client.watch(runId)]))), [client, turns]);
  const { runs, connection, failure } = useLive(stores) ?? NO_RUN;
  const views = runs as readonly RunView[];
  const last = turns.at(-1);
  const view = views.find((one) => one.id === last?.runId) ?? null;
  useOnEnd(view, options.onEnd);

  const initial = options.initialMessages;
  const messages = useMemo(() => {
    const mine = new Set(turns.map((turn) => turn.runId));
    return [...(stored ?? initial ?? []).filter((one) => !mine.has(one.runId)), ...told(turns, views)].sort(byRun);
  }, [initial, stored, turns, views]);
  const approvals = useMemo(() => views.flatMap((one) => one.approvals.filter((ask) => ask.decision === "")), [views]);
  const acts = useActs(last?.runId ?? null, turns, begin);
  return {
    messages,
    status: statusOf(last, view),
    ...acts,
    approvals,
    threadId,
    runId: last?.runId ?? null,
    error: last?.failed ?? failure ?? lookError,
    connection,
  };
}

/** What the server has of a conversation, and the run that is under way there. */
function useStored(threadId: string | undefined) {
  const client = useAgentflow();
  const load = useCallback(async () => {
    const thread = await client.threads.whole(threadId as string).catch(unlessNew);
    const running = thread?.active_run ? await client.runs.get(thread.active_run) : null;
    return { messages: storedMessages(thread?.messages ?? []), running };
  }, [client, threadId]);
  const { data, error, reload } = useRequest(threadId === undefined ? null : load);
  // Somebody else may have a turn, too.
  useChanges(
    useMemo(() => (threadId === undefined ? null : client.index({ thread: threadId })), [client, threadId]),
    reload,
  );
  const running = data?.running ?? null;
  const active = useMemo((): Turn | null => {
    const prompt = (running?.input as { prompt?: unknown } | null)?.prompt;
    return running && { id: running.id, text: typeof prompt === "string" ? prompt : null, runId: running.id, failed: null };
  }, [running]);
  return { stored: data?.messages ?? null, active, error };
}

/** A thread begins with its first run. */
function unlessNew(error: unknown): null {
  if (errorOf(error).status === 404) return null;
  throw error;
}

function useTurns(agent: string, threadId: string, active: Turn | null) {
  const client = useAgentflow();
  const [own, setOwn] = useState<{ readonly threadId: string; readonly turns: readonly Turn[] }>({ threadId, turns: [] });
  const begun = own.threadId === threadId ? own.turns : NO_TURNS;
  const turns = useMemo(
    () => (active === null || begun.some((turn) => turn.runId === active.runId) ? begun : [...begun, active].sort(byRun)),
    [active, begun],
  );
  const begin = useCallback(
    async (text: string) => {
      const id = `usr_${crypto.randomUUID()}`;
      const change = (change: (turns: readonly Turn[]) => readonly Turn[]) =>
        setOwn((last) => ({ threadId, turns: change(last.threadId === threadId ? last.turns : NO_TURNS) }));
      const become = (now: Partial<Turn>) => change((last) => last.map((turn) => (turn.id === id ? { ...turn, ...now } : turn)));
      change((last) => [...last, { id, text, runId: null, failed: null }]);
      try {
        const run = await client.runs.start(agent, { prompt: text }, { thread: threadId, idempotencyKey: id });
        become({ runId: run.id });
        return { runId: run.id };
      } catch (error) {
        become({ failed: errorOf(error) });
        throw errorOf(error);
      }
    },
    [client, agent, threadId],
  );
  return { turns, begin };
}

const NO_TURNS: readonly Turn[] = [];

function useActs(runId: string | null, turns: readonly Turn[], begin: (text: string) => Promise<{ readonly runId: string }>) {
  const client = useAgentflow();
  const latest = useLatest(turns);
  const regenerate = useCallback(() => {
    const text = latest.current.findLast((turn) => turn.text !== null)?.text;
    return text ? begin(text) : Promise.reject(new TypeError("There is nothing to say again yet."));
  }, [latest, begin]);
  const cancel = useCallback(
    async (reason?: string) => {
      if (runId !== null) await client.runs.cancel(runId, reason);
    },
    [client, runId],
  );
  const detach = useCallback(() => {
    for (const turn of latest.current) if (turn.runId !== null) client.watch(turn.runId).detach();
  }, [client, latest]);
  const resolve = useCallback(async (id: string, answer: Answer) => approvalStatus(await decided(client.waitpoints, id, answer)), [client]);
  return { send: begin, regenerate, cancel, detach, resolve };
}

/** In the order in which the runs were started, which is that of their ids; what is not on the server yet comes last. */
function byRun(a: { readonly runId: string | null }, b: { readonly runId: string | null }): number {
  if (a.runId === b.runId) return 0;
  if (a.runId === null || b.runId === null) return a.runId === null ? 1 : -1;
  return a.runId < b.runId ? -1 : 1;
}

function told(turns: readonly Turn[], views: readonly RunView[]): readonly AgentMessage[] {
  return turns.flatMap((turn) => {
    const view = views.find((one) => one.id === turn.runId);
    const state = turn.failed !== null ? "failed" : turn.runId === null ? "sending" : "done";
    const asked = turn.text === null ? [] : [userMessage(turn.id, turn.text, turn.runId, state)];
    return view === undefined ? asked : [...asked, assistantMessage(view)];
  });
}

function statusOf(last: Turn | undefined, view: RunView | null): UseAgentResult["status"] {
  if (last === undefined) return "ready";
  if (last.failed !== null || view?.status === "failed") return "error";
  if (view === null) return "submitted";
  if (view.waiting?.on === "approval") return "waiting";
  if (view.ended || ["completed", "cancelled", "expired"].includes(view.status)) return "ready";
  return view.parts.length + view.calls.length > 0 ? "streaming" : "submitted";
}
