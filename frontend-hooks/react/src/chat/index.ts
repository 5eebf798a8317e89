/** @agentflow/react/chat: the AI SDK's `useChat` over agentflow; needs `ai` and `@ai-sdk/react`. */

export { AgentflowChatTransport, type ChatTransportOptions } from "./transport.ts";
export { type UseAgentflowChatOptions, type UseAgentflowChatResult, useAgentflowChat } from "./use-agentflow-chat.ts";
