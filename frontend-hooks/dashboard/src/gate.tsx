import { type FormEvent, useRef } from "react";
import { BrandMark } from "./parts/icons.tsx";
import { keyring } from "./session.ts";

/** Asks for the API key. It stays in this tab, and goes nowhere but to this server. */
export function Gate({ again }: { again: boolean }) {
  const box = useRef<HTMLInputElement>(null);
  function enter(event: FormEvent) {
    event.preventDefault();
    const key = box.current?.value.trim() ?? "";
    if (key !== "") keyring.answer(key);
  }
  return (
    <main className="gate">
      <form className="card form" onSubmit={enter} aria-label="Sign in">
        <span className="brand">
          <BrandMark /> agentflow
        </span>
        <div className="field">
          <label htmlFor="api-key">API key</label>
          <input
            id="api-key"
            ref={box}
            className="input mono"
            type="password"
            autoComplete="off"
            // biome-ignore lint/a11y/noAutofocus: there is nothing else on this page
            autoFocus
            aria-invalid={again}
            aria-describedby="api-key-about"
          />
          <div id="api-key-about">
            {again ? (
              <p className="problem" role="alert">
                The server does not take this key.
              </p>
            ) : null}
            <p className="hint">
              What the server was started with: <code>AGENTFLOW_API_KEY</code>. It is kept until this tab is closed.
            </p>
          </div>
        </div>
        <button type="submit" className="button" data-kind="main">
          Open
        </button>
      </form>
    </main>
  );
}
