import type { AgentflowError, LintFinding, PromptBody, RenderedPrompt } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type Answer, useAnswer } from "../live/answer.ts";
import { Visible } from "../parts/exact.tsx";
import { slotsOf } from "./editing.ts";

// What a model would be sent, while it is written: asked of the server, which alone knows what a template means.

export interface Looked {
  findings: readonly LintFinding[];
  /** Null while something is wrong, or a variable is missing. */
  rendered: RenderedPrompt | null;
}

const PAUSE = 250;

/** What the server says of a body with these variables; of a body alone while they do not fit. */
export function usePreview(name: string, body: PromptBody | null, variables: object | undefined): Answer<Looked> & { asking: boolean } {
  const client = useAgentflow();
  async function look(signal: AbortSignal): Promise<Looked> {
    const said = body as PromptBody;
    const { findings } = await client.prompts.lint(name, said, { signal });
    if (variables === undefined || findings.some((one) => one.wrong)) return { findings, rendered: null };
    const asked = { body: said, variables: variables as Record<string, unknown>, slots: slotsOf(said) };
    return { findings, rendered: await client.prompts.render(name, asked, { signal }) };
  }
  return useAnswer(body === null ? null : JSON.stringify([name, body, variables]), look, PAUSE);
}

/** The place of an error or a finding, as people say it. */
export function spotWord(line: unknown, column: unknown): string {
  if (typeof line !== "number") return "";
  return typeof column === "number" ? `line ${line}, column ${column}` : `line ${line}`;
}

interface PreviewProps {
  looked: Answer<Looked> & { asking: boolean };
  /** The variables that nobody has filled in yet. */
  missing: readonly string[];
}

export function Preview({ looked, missing }: PreviewProps) {
  const rendered = looked.data?.rendered ?? null;
  return (
    <section className="preview" aria-label="Preview" aria-busy={looked.asking}>
      <h2 className="section-head">Preview</h2>
      {looked.error === null ? null : <Wrong error={looked.error as AgentflowError} />}
      {rendered === null ? <Why looked={looked} missing={missing} /> : <Messages messages={rendered.messages} />}
    </section>
  );
}

function Why({ looked, missing }: PreviewProps) {
  if (looked.error !== null) return null;
  if (looked.data?.findings.some((one) => one.wrong)) return <p className="quiet">It cannot be filled in: see what is wrong.</p>;
  if (missing.length > 0) return <p className="quiet">Fill in {missing.join(", ")} to see what a model would be sent.</p>;
  return <p className="faint">…</p>;
}

function Wrong({ error }: { error: AgentflowError }) {
  const spot = spotWord(error.details?.line, error.details?.column);
  return (
    <div className="trouble" role="alert">
      {spot === "" ? null : <span className="quiet">{spot}: </span>}
      <b>{error.message}</b> {error.hint}
    </div>
  );
}

interface Rendered {
  role?: string;
  content?: string;
  slot?: string;
}

function Messages({ messages }: { messages: readonly unknown[] }) {
  return (
    <ol className="rendered">
      {(messages as readonly Rendered[]).map((one, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: messages have no name but their place
        <li key={place} data-role={one.role ?? "slot"}>
          <span className="rendered-role">{one.role ?? "slot"}</span>
          {one.slot === undefined ? (
            <p className="rendered-text">
              <Visible text={one.content ?? ""} />
            </p>
          ) : (
            <p className="faint">The messages of {one.slot} stand here.</p>
          )}
        </li>
      ))}
    </ol>
  );
}
