import type { AgentflowError } from "@agentflow/client";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { distance, moment, short } from "../format.ts";
import { useNow } from "../live/now.ts";
import { CopyIcon } from "./icons.tsx";

/** How long ago, exactly when hovered. */
export function Age({ at }: { at: number }) {
  const now = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={moment(at)}>
      {distance(at, now)}
    </time>
  );
}

/** Why something did not work, and what to do about it. */
export function Trouble({ error }: { error: Error }) {
  const hint = (error as Partial<AgentflowError>).hint;
  return (
    <div className="trouble" role="alert">
      <b>{error.message}</b> {hint ? <span>{hint}</span> : null}
    </div>
  );
}

/** Nothing to show, and why. */
export function Empty({ icon, title, children }: { icon?: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      {icon}
      <h3>{title}</h3>
      {children}
    </div>
  );
}

const WIDTHS = [88, 59, 77, 48, 66, 84, 55, 73, 44, 62];

/** The place of what is still on its way. */
export function Bones({ rows = 6 }: { rows?: number }) {
  return (
    <div className="bones" role="status" aria-label="Loading">
      {WIDTHS.slice(0, rows).map((width) => (
        <span key={width} className="bone" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

/** An id, short to the eye and whole to the clipboard. */
export function Id({ id, whole = false }: { id: string; whole?: boolean }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);
  async function copy() {
    // There is no clipboard for pages that came over plain HTTP from elsewhere.
    if (navigator.clipboard === undefined) return;
    await navigator.clipboard.writeText(id);
    setCopied(true);
  }
  return (
    <span className="id mono">
      <span title={id}>{whole ? id : short(id)}</span>
      <button
        type="button"
        className="icon-button"
        onClick={copy}
        aria-label={copied ? "Copied" : `Copy ${id}`}
        title={copied ? "Copied" : "Copy"}
      >
        {copied ? "✓" : <CopyIcon />}
      </button>
    </span>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  /** As wide as two texts side by side need. */
  wide?: boolean;
  children: ReactNode;
}

/** A dialog while it is shown. */
export function Dialog({ title, onClose, wide = false, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    box.current?.showModal();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the key for it is Escape, and the browser's own
    <dialog
      ref={box}
      data-wide={wide || undefined}
      onClose={onClose}
      aria-label={title}
      onClick={(event) => event.target === box.current && onClose()}
    >
      <h3 className="dialog-title">{title}</h3>
      {children}
    </dialog>
  );
}
