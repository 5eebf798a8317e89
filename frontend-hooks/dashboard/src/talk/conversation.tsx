import { type AgentMessage, useAgent } from "@agentflow/react";
import { type FormEvent, type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApprovalCard } from "../asking/card.tsx";
import { count } from "../format.ts";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useConversations, useWaitpoint } from "../live/server.ts";
import { AgentsIcon, SendIcon, StopIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Empty, Trouble } from "../parts/said.tsx";
import { Status } from "../parts/status.tsx";
import { paths } from "../router.ts";
import { Story } from "../run/story.tsx";

/** A conversation with an agent: each turn is a run, all of them are one thread, and the address names it. */
export function Conversation({ agent, thread }: { agent: string; thread: string }) {
  const { messages, status, send, cancel, approvals, error } = useAgent(agent, { threadId: thread });
  const works = status === "submitted" || status === "streaming" || status === "waiting";
  return (
    <section className="talk" aria-label={`Conversation with ${agent}`}>
      <Turns messages={messages} agent={agent} />
      <div className="talk-now">
        {approvals.map((one) => (
          <Asked key={one.id} id={one.id} />
        ))}
        {error === null ? null : <Trouble error={error} />}
      </div>
      <Composer agent={agent} works={works} onSend={send} onStop={() => cancel("stopped in the dashboard")} />
    </section>
  );
}

function Turns({ messages, agent }: { messages: readonly AgentMessage[]; agent: string }) {
  const end = useRef<HTMLDivElement>(null);
  useFollowing(end, messages);
  if (messages.length === 0) {
    return (
      <div className="turns-said">
        <Empty icon={<AgentsIcon />} title={`Say something to ${agent}`}>
          <p>What it thinks, says and does shows here as it happens. Each turn is a run: it survives a reload, a crash and a deploy.</p>
        </Empty>
        <Earlier agent={agent} />
      </div>
    );
  }
  return (
    <div className="turns-said" aria-live="polite" aria-relevant="additions">
      {messages.map((one) =>
        one.role === "user" ? <Mine key={one.id} message={one} /> : <Theirs key={one.id} message={one} agent={agent} />,
      )}
      <div ref={end} />
    </div>
  );
}

/** What was talked about before; without it a conversation begins all the same. */
function Earlier({ agent }: { agent: string }) {
  const threads = useConversations().data?.filter((one) => one.agent === agent) ?? [];
  useKeys(LIST_KEYS);
  if (threads.length === 0) return null;
  return (
    <section className="earlier">
      <h2 className="section-head">Earlier conversations</h2>
      <ul className="rows">
        {threads.map((one) => (
          <li key={one.id}>
            <Link to={paths.task(agent, one.id)} className="earlier-row" data-item="">
              <span className="clip mono">{one.id}</span>
              <span className="quiet small">{count(one.turns, "turn")}</span>
              <span className="quiet small">
                <Age at={one.touched_at} />
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

const NEAR = 160;

/** Keeps the end in sight for whoever is there, and leaves alone whoever reads further up. */
function useFollowing(end: { current: HTMLElement | null }, changed: unknown): void {
  const near = useRef(true);
  useEffect(() => {
    function looked() {
      near.current = document.documentElement.scrollHeight - window.scrollY - window.innerHeight < NEAR;
    }
    window.addEventListener("scroll", looked, { passive: true });
    return () => window.removeEventListener("scroll", looked);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was said has changed, so the end has moved.
  useLayoutEffect(() => {
    if (near.current && end.current !== null) window.scrollTo(0, document.documentElement.scrollHeight);
  }, [changed, end]);
}

function Mine({ message }: { message: AgentMessage }) {
  return (
    <div className="asked" data-state={message.state}>
      {message.parts.map((part) => (part.type === "text" ? <span key={part.id}>{part.text}</span> : null))}
    </div>
  );
}

const TOLD: Record<string, ReactNode> = {
  waiting: <Status state="waiting">waits for an answer</Status>,
  failed: <Status state="failed" />,
  cancelled: <Status state="cancelled">stopped</Status>,
};

function Theirs({ message, agent }: { message: AgentMessage; agent: string }) {
  const works = message.state === "streaming" || message.state === "sending";
  return (
    <div className="answered" data-run={message.runId} data-state={message.state}>
      <p className="answered-head">
        <b>{agent}</b>
        {works ? <Status state="running">{message.parts.length === 0 ? "thinks" : "works"}</Status> : TOLD[message.state]}
        {message.runId === null ? null : (
          <Link to={paths.run(message.runId)} className="link small">
            run
          </Link>
        )}
      </p>
      <Story parts={message.parts} ended={!works} brief />
      {message.error === null ? null : <Trouble error={new Error(String(message.error.message ?? message.error.code))} />}
    </div>
  );
}

function Asked({ id }: { id: string }) {
  const { data, refresh } = useWaitpoint(id);
  return data?.state === "pending" ? <ApprovalCard approval={data} onAnswered={refresh} /> : null;
}

interface ComposerProps {
  agent: string;
  works: boolean;
  onSend: (text: string) => Promise<unknown>;
  onStop: () => Promise<void>;
}

function Composer({ agent, works, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  const form = useRef<HTMLFormElement>(null);
  useKeys({ "/": () => box.current?.focus() });
  function send(event: FormEvent) {
    event.preventDefault();
    const said = text.trim();
    if (said === "") return;
    setText("");
    // What failed is shown as an error of the conversation; what was typed comes back.
    onSend(said).catch(() => setText((now) => now || said));
  }
  function pressed(event: KeyboardEvent<HTMLTextAreaElement>) {
    if (event.key === "Escape") box.current?.blur();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    form.current?.requestSubmit();
  }
  return (
    <form ref={form} className="composer" onSubmit={send}>
      <div className="composer-box">
        <textarea
          ref={box}
          rows={1}
          aria-label={`Message to ${agent}`}
          placeholder={`Message ${agent}`}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={pressed}
        />
        {works && text.trim() === "" ? (
          <button type="button" className="round-button" aria-label="Stop" onClick={() => void onStop()}>
            <StopIcon />
          </button>
        ) : (
          <button type="submit" className="round-button" aria-label="Send" disabled={text.trim() === ""}>
            <SendIcon />
          </button>
        )}
      </div>
    </form>
  );
}
