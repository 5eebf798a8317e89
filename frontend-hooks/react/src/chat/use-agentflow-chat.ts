import { type UseChatHelpers, type UseChatOptions, useChat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai";
import { useCallback, useMemo } from "react";
import { useAgentflow } from "../provider.tsx";
import { AgentflowChatTransport } from "./transport.ts";

/** The options of `useChat`, but for its transport, and the agent to talk to. `id` is the thread. */
export type UseAgentflowChatOptions<M extends UIMessage> = Omit<Exclude<UseChatOptions<M>, { chat: unknown }>, "transport"> & {
  readonly agent?: string;
  readonly api?: string;
};

/** `useChat`'s result, and a way to stop the run itself: `stop` only stops listening. */
export type UseAgentflowChatResult<M extends UIMessage> = UseChatHelpers<M> & {
  readonly cancel: (reason?: string) => Promise<void>;
};

/**
 * `useChat` of the AI SDK with an agent of agentflow: it goes on where it was cut, comes back to a chat that is under way, and sends answers
 * to approvals by itself.
 *
 *     const { messages, sendMessage, cancel } = useAgentflowChat({ id: threadId, agent: "support" });
 */
export function useAgentflowChat<M extends UIMessage = UIMessage>(options: UseAgentflowChatOptions<M> = {}): UseAgentflowChatResult<M> {
  const client = useAgentflow();
  const { agent, api, ...chat } = options;
  const transport = useMemo(
    () => new AgentflowChatTransport<M>({ client, ...(agent !== undefined && { agent }), ...(api !== undefined && { api }) }),
    [client, agent, api],
  );
  const helpers = useChat<M>({
    resume: chat.id !== undefined,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    ...chat,
    transport,
  } as UseChatOptions<M>);
  const runId = runOf(helpers.messages);
  const cancel = useCallback(
    async (reason?: string) => {
      const run = runId ?? transport.runId;
      if (run !== null) await client.runs.cancel(run, reason);
    },
    [client, transport, runId],
  );
  return { ...helpers, cancel };
}

/** The run that says the last message. */
function runOf(messages: readonly UIMessage[]): string | null {
  const last = messages.at(-1);
  const metadata = last?.role === "assistant" ? (last.metadata as { readonly runId?: unknown } | undefined) : undefined;
  return typeof metadata?.runId === "string" ? metadata.runId : null;
}
