import type { AgentflowError, Answer, ApprovalView, ConnectionState, RunView } from "@agentflow/client";
import { useCallback, useMemo, useState } from "react";
import { type AgentMessage, assistantMessage, isUpToPeople, storedMessages, userMessage } from "./agent-messages.ts";
import { standing } from "./deciding.ts";
import { useLatest } from "./latest.ts";
import { useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import type { ApprovalStatus } from "./question.ts";
import { runsTogether } from "./together.ts";
import { useDecide } from "./use-decision.ts";
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
  /** Say something. While the agent works it is the next turn, or with `mode: "steer"` the agent hears it between two steps of this one. */
  readonly send: (text: string, options?: { readonly mode?: "queue" | "steer" }) => Promise<{ readonly runId: string }>;
  /** Have the last question answered anew, or `text` in its place. What was answered before comes back if that fails. */
  readonly regenerate: (text?: string) => Promise<{ readonly runId: string }>;
  /** End the turn that is under way; what was said until then stays, and the next message has its turn. */
  readonly stop: (reason?: string) => Promise<void>;
  /** Ask the run of the last turn to stop. */
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
  /** The run whose answer this one takes the place of. */
  readonly replaces: string | null;
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
    const old = replaced(turns, views);
    const all = [...(stored ?? initial ?? []).filter((one) => !mine.has(one.runId)), ...told(turns, views)].sort(byRun);
    return old.size === 0 ? all : all.filter((one) => one.runId === null || !old.has(one.runId));
  }, [initial, stored, turns, views]);
  const approvals = useMemo(() => views.flatMap((one) => one.approvals.filter((ask) => ask.decision === "")), [views]);
  const works = turns.find(({ runId }) => runId !== null && !views.find((one) => one.id === runId)?.ended)?.runId ?? null;
  const acts = useActs({ threadId, runId: last?.runId ?? null, works, turns, messages }, begin);
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
    return running && { id: running.id, text: typeof prompt === "string" ? prompt : null, runId: running.id, failed: null, replaces: null };
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
  const turns: readonly Turn[] = useMemo(
    () => (active === null || begun.some((turn) => turn.runId === active.runId) ? begun : [...begun, active].sort(byRun)),
    [active, begun],
  );
  const latest = useLatest(turns);
  const begin = useCallback<Begin>(
    async (text, { mode, replaces = null, edited } = {}) => {
      const id = `usr_${crypto.randomUUID()}`;
      const change = (change: (turns: readonly Turn[]) => readonly Turn[]) =>
        setOwn((last) => ({ threadId, turns: change(last.threadId === threadId ? last.turns : NO_TURNS) }));
      const become = (now: Partial<Turn>) => change((last) => last.map((turn) => (turn.id === id ? { ...turn, ...now } : turn)));
      const ask = () => {
        if (replaces !== null) return client.threads.regenerate(threadId, { ...edited, agent, idempotencyKey: id });
        if (mode === "steer") return client.threads.say(threadId, text, { mode, agent, idempotencyKey: id });
        return client.runs.start(agent, { prompt: text }, { thread: threadId, idempotencyKey: id });
      };
      change((last) => [...last, { id, text, runId: null, failed: null, replaces }]);
      try {
        const { id: runId } = await ask();
        // What a run hears is no turn of its own: the run tells of it when it has.
        if (mode === "steer" && latest.current.some((turn) => turn.runId === runId))
          change((last) => last.filter((turn) => turn.id !== id));
        else become({ runId });
        return { runId };
      } catch (error) {
        become({ failed: errorOf(error) });
        throw errorOf(error);
      }
    },
    [client, agent, threadId, latest],
  );
  return { turns, begin };
}

const NO_TURNS: readonly Turn[] = [];

type Begin = (
  text: string,
  how?: { readonly mode?: "queue" | "steer"; readonly replaces?: string | null; readonly edited?: { readonly text?: string } },
) => Promise<{ readonly runId: string }>;

/** What there is to act on. `works` is the run whose turn it is, as far as this page knows. */
interface Scene {
  readonly threadId: string;
  readonly runId: string | null;
  readonly works: string | null;
  readonly turns: readonly Turn[];
  readonly messages: readonly AgentMessage[];
}

function useActs(scene: Scene, begin: Begin) {
  const client = useAgentflow();
  const latest = useLatest(scene);
  const send = useCallback((text: string, options: { readonly mode?: "queue" | "steer" } = {}) => begin(text, options), [begin]);
  const regenerate = useCallback(
    (text?: string) => {
      const asked = latest.current.messages.findLast((one) => one.role === "user" && one.runId !== null);
      if (asked === undefined) return Promise.reject(new TypeError("There is nothing to say again yet."));
      return begin(text ?? textOf(asked), { replaces: asked.runId, edited: text === undefined ? {} : { text } });
    },
    [latest, begin],
  );
  const stop = useCallback(
    async (reason?: string) => {
      const { threadId, works } = latest.current;
      await client.threads.stop(threadId, { ...(works !== null && { run: works }), ...(reason !== undefined && { reason }) });
    },
    [client, latest],
  );
  const cancel = useCallback(
    async (reason?: string) => {
      const { runId } = latest.current;
      if (runId !== null) await client.runs.cancel(runId, reason);
    },
    [client, latest],
  );
  const detach = useCallback(() => {
    for (const turn of latest.current.turns) if (turn.runId !== null) client.watch(turn.runId).detach();
  }, [client, latest]);
  const decide = useDecide();
  const resolve = useCallback(async (id: string, { by, ...answer }: Answer) => standing(await decide(id, answer, { by })), [decide]);
  return { send, regenerate, stop, cancel, detach, resolve };
}

function textOf(message: AgentMessage): string {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** The runs whose answers are not to be seen, since others take their place. */
function replaced(turns: readonly Turn[], views: readonly RunView[]): ReadonlySet<string> {
  const isVoid = (turn: Turn) =>
    turn.failed !== null || ["failed", "expired"].includes(views.find((one) => one.id === turn.runId)?.status ?? "");
  return new Set(turns.flatMap((turn) => (turn.replaces === null || isVoid(turn) ? [] : [turn.replaces])));
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
  if (isUpToPeople(view)) return "waiting";
  if (view.ended || ["completed", "cancelled", "expired"].includes(view.status)) return "ready";
  return view.parts.length + view.calls.length > 0 ? "streaming" : "submitted";
}
