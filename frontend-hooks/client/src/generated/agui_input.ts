// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** A message that the client holds. It is given back as it came, so it keeps what it has. */
export interface AguiMessage {
  id: string;
  role: "developer" | "system" | "assistant" | "user" | "tool" | "activity" | "reasoning";
  content: string | readonly Readonly<Record<string, unknown>>[] | null;
}

/** The answer to one interrupt. */
export interface ResumeEntry {
  interruptId: string;
  status: "resolved" | "cancelled";
  payload: unknown;
}

/** A request to run an agent, or to go on with a run that asked something. */
export interface RunAgentInput {
  threadId: string;
  runId: string;
  messages: readonly AguiMessage[];
  state: unknown;
  resume: readonly ResumeEntry[] | null;
}
