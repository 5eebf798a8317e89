/** @agentflow/client: durable agentflow runs from a browser or Node.js. */

export type { AuditApi, AuditPage } from "./audit.ts";
export { AgentflowClient, type ClientOptions } from "./client.ts";
export { Connection, type ConnectionOwner, type ConnectionState, type Next } from "./connection.ts";
export { compareCursors } from "./cursor.ts";
export { type DurableFrom, type DurableSnapshot, DurableStream } from "./durable-stream.ts";
export { AgentflowError } from "./errors.ts";
export type * from "./events.ts";
export type { From } from "./feed.ts";
export type { QueuesApi, TasksApi, WorkersApi } from "./fleet.ts";
export { RunFold, viewOf } from "./fold.ts";
export type * from "./generated/index.ts";
export type { GrantsApi } from "./grants.ts";
export { type IndexFilter, type IndexSnapshot, IndexStore } from "./index-store.ts";
export { type Duration, type StartOptions, threadTag } from "./options.ts";
export type { Binding, GenerationFilter, MetricsFilter, PromptsApi, Stoppable } from "./prompts.ts";
export { isRequest, type ReleasesApi } from "./releases.ts";
export type { Ask, GetToken, Requester, TokenReason } from "./request.ts";
export { type EventListener, isLogged, type RunSnapshot, RunStore, type RunStoreOptions } from "./run-store.ts";
export type { EventPage, ListedEvent, RunFilter, RunsApi, StartedRun } from "./runs.ts";
export { type Frame, SseParser } from "./sse.ts";
export type { SayOptions, Thread, ThreadInfo, ThreadMessage, ThreadPage, ThreadPart, ThreadsApi } from "./threads.ts";
export type { MintedToken, Scope, TokensApi } from "./tokens.ts";
export type * from "./view.ts";
export type { Answer, AnswerKey, AnswerOptions, WaitpointsApi } from "./waitpoints.ts";
