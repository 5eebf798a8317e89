/** @agentflow/react: hooks for durable agentflow runs. */

export type { AgentMessage, AgentPart } from "./agent-messages.ts";
export type { Refusal, Said } from "./deciding.ts";
export { Fields, type FieldsProps, type FormClasses, type FormPart } from "./fields.tsx";
export {
  type Draft,
  type DraftObject,
  draftsOf,
  type Field,
  type FieldKind,
  fieldsOf,
  type Limits,
  type Read,
  readAll,
  readJson,
  type Schema,
} from "./form-schema.ts";
export { AgentflowProvider, type AgentflowProviderProps, useAgentflow } from "./provider.tsx";
export { type ApprovalStatus, approvalStatus, byUrgency, isFor, progressOf, type Question, questionOf, type Risk } from "./question.ts";
export { type UseAgentOptions, type UseAgentResult, useAgent } from "./use-agent.ts";
export { type UseApprovalResult, useApproval, useVotes } from "./use-approval.ts";
export { type ApprovalsFilter, type UseApprovalsResult, useApprovals } from "./use-approvals.ts";
export { type DecisionState, type UseDecisionOptions, type UseDecisionResult, useDecision } from "./use-decision.ts";
export { type UseDurableStreamResult, useDurableStream } from "./use-durable-stream.ts";
export { type UseFormOptions, type UseFormResult, useForm } from "./use-form.ts";
export { type UseGrantsResult, useGrants } from "./use-grants.ts";
export { type Requested, useRequest } from "./use-request.ts";
export { type UseRunOptions, type UseRunResult, useRun } from "./use-run.ts";
export { type UseRunEventsOptions, useRunEvents } from "./use-run-events.ts";
export { type UseRunStateResult, useRunState } from "./use-run-state.ts";
export { type StreamPart, streamPartsOf, type UseRunStreamOptions, type UseRunStreamResult, useRunStream } from "./use-run-stream.ts";
export { type UseRunsResult, useRuns } from "./use-runs.ts";
export { type UseStreamResult, useInput, useStream } from "./use-stream.ts";
export { type UseThreadResult, type UseThreadsResult, useThread, useThreads } from "./use-thread.ts";
export { type UseTriggerResult, useTrigger, useTriggerRun } from "./use-trigger.ts";
export { type UseWaitTokenResult, useWaitToken } from "./use-wait-token.ts";
export { WaitpointForm, type WaitpointFormProps } from "./waitpoint-form.tsx";
