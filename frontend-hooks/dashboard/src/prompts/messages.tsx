import type { LintFinding } from "@agentflow/client";
import type { ReactNode } from "react";
import { CloseIcon } from "../parts/icons.tsx";
import { type DraftMessage, findingsAt, message, moved, ROLES, type Role } from "./editing.ts";
import { Wrongs } from "./findings.tsx";

interface MessagesProps {
  messages: readonly DraftMessage[];
  findings: readonly LintFinding[];
  onChange: (messages: readonly DraftMessage[]) => void;
}

/** What the roles say, in order, and where messages of the caller stand among them. */
export function Messages({ messages, findings, onChange }: MessagesProps) {
  return (
    <section aria-label="Messages">
      <ol className="edit-list">
        {messages.map((one, at) => (
          <li key={one.key} className="edit-card" data-role={one.role}>
            <Head
              at={at}
              of={messages.length}
              role={one.role}
              onRole={(role) => onChange(messages.map((same) => (same === one ? turned(one, role) : same)))}
              onMove={(by) => onChange(moved(messages, at, by))}
              onRemove={() => onChange(messages.filter((other) => other !== one))}
            />
            <Words
              one={one}
              at={at}
              findings={findingsAt(findings, `message ${at + 1}`)}
              onText={(text) => onChange(messages.map((same) => (same === one ? { ...one, text } : same)))}
            />
          </li>
        ))}
      </ol>
      <div className="row">
        <button type="button" className="button" onClick={() => onChange([...messages, message("user", "")])}>
          Add a message
        </button>
        <button type="button" className="button" onClick={() => onChange([...messages, message("slot", "history")])}>
          Add a slot
        </button>
      </div>
    </section>
  );
}

/** A slot has a name where others have text. */
function turned(one: DraftMessage, role: Role): DraftMessage {
  if (role === one.role) return one;
  if (role === "slot") return { ...one, role, text: "history" };
  return { ...one, role, text: one.role === "slot" ? "" : one.text };
}

interface HeadProps {
  at: number;
  of: number;
  role: Role;
  onRole: (role: Role) => void;
  onMove: (by: 1 | -1) => void;
  onRemove: () => void;
}

function Head({ at, of, role, onRole, onMove, onRemove }: HeadProps) {
  const name = `message ${at + 1}`;
  return (
    <div className="edit-head">
      <select
        className="input edit-role"
        aria-label={`Role of ${name}`}
        value={role}
        onChange={(event) => onRole(event.target.value as Role)}
      >
        {ROLES.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <span className="spring" />
      <Small name={`Move ${name} up`} off={at === 0} onClick={() => onMove(-1)}>
        ↑
      </Small>
      <Small name={`Move ${name} down`} off={at === of - 1} onClick={() => onMove(1)}>
        ↓
      </Small>
      <Small name={`Remove ${name}`} off={of === 1} onClick={onRemove}>
        <CloseIcon />
      </Small>
    </div>
  );
}

function Small({ name, off, onClick, children }: { name: string; off: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className="icon-button" aria-label={name} title={name} disabled={off} onClick={onClick}>
      {children}
    </button>
  );
}

interface WordsProps {
  one: DraftMessage;
  at: number;
  findings: readonly LintFinding[];
  onText: (text: string) => void;
}

function Words({ one, at, findings, onText }: WordsProps) {
  const about = `message-${one.key}-about`;
  if (one.role === "slot") {
    return (
      <div className="field">
        <input
          className="input"
          aria-label={`Name of the slot, message ${at + 1}`}
          aria-describedby={about}
          value={one.text}
          onChange={(event) => onText(event.target.value)}
        />
        <p id={about} className="hint">
          Messages of the caller stand here, untouched: the conversation so far.
        </p>
      </div>
    );
  }
  return (
    <div className="field">
      <textarea
        className="input code"
        aria-label={`Message ${at + 1}`}
        aria-invalid={findings.some((other) => other.wrong)}
        aria-describedby={about}
        data-place={`message ${at + 1}`}
        rows={3}
        spellCheck={false}
        value={one.text}
        onChange={(event) => onText(event.target.value)}
      />
      <Wrongs id={about} findings={findings} />
    </div>
  );
}
