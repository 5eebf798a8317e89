import type { Waitpoint } from "@agentflow/client";
import { type Question, useAgentflow } from "@agentflow/react";
import { type FormEvent, type ReactNode, useId, useRef, useState } from "react";
import { refresh } from "../live/polled.ts";
import { type Act, useAct } from "../parts/act.ts";
import { Dialog, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";

interface MovesProps {
  approval: Waitpoint;
  question: Question;
  onMoved: () => void;
}

/** What can be done with an open question but to answer it: give it to others, or take it back. */
export function Moves(props: MovesProps) {
  const [asks, ask] = useState<"others" | "back" | null>(null);
  const close = () => ask(null);
  return (
    <div className="row moves">
      <button type="button" className="button" onClick={() => ask("others")}>
        Give it to others…
      </button>
      <button type="button" className="button" onClick={() => ask("back")}>
        Take it back…
      </button>
      {asks === "others" ? <Others {...props} onClose={close} /> : null}
      {asks === "back" ? <Back {...props} onClose={close} /> : null}
    </div>
  );
}

type DialogProps = MovesProps & { onClose: () => void };

function Others({ approval, question, onMoved, onClose }: DialogProps) {
  const { waitpoints } = useAgentflow();
  const [name] = useName();
  const move = useMove(approval.id, onMoved, onClose);
  function send(filled: FormData) {
    const [users, groups] = [namesOf(filled.get("users")), namesOf(filled.get("groups"))];
    move.run(() => waitpoints.reassign(approval.id, { users, groups, by: name || "dashboard" }));
  }
  return (
    <Dialog title="Give it to others" onClose={onClose}>
      <MoveForm act={move.act} send={send} yes="Give it to them" onClose={onClose}>
        <p className="quiet">Only they may decide from then on. What was said before does not count any more, and links are closed.</p>
        <Names name="users" label="People" first={question.users} />
        <Names name="groups" label="Groups" first={question.groups} />
      </MoveForm>
    </Dialog>
  );
}

function Back({ approval, question, onMoved, onClose }: DialogProps) {
  const { waitpoints } = useAgentflow();
  const [name] = useName();
  const move = useMove(approval.id, onMoved, onClose);
  const id = useId();
  function send(filled: FormData) {
    const reason = String(filled.get("reason") ?? "").trim();
    const superseded = filled.get("why") === "superseded";
    move.run(() => waitpoints.cancel(approval.id, { superseded, by: name || "dashboard", ...(reason !== "" && { reason }) }));
  }
  const goesOn = question.kind === "input" ? "Its run goes on without an answer." : "Its run goes on as after a no.";
  return (
    <Dialog title="Take it back?" onClose={onClose}>
      <MoveForm act={move.act} send={send} yes="Take it back" isBad onClose={onClose}>
        <p className="quiet">Nobody can answer it any more. {goesOn}</p>
        <div className="field" role="radiogroup" aria-label="Why is it taken back?">
          <label className="check">
            <input type="radio" name="why" value="cancelled" defaultChecked /> It is not needed any more
          </label>
          <label className="check">
            <input type="radio" name="why" value="superseded" /> Something else took its place
          </label>
        </div>
        <div className="field">
          <label htmlFor={id}>
            Reason <span className="needed">optional; it is kept</span>
          </label>
          <input id={id} name="reason" className="input" autoComplete="off" />
        </div>
      </MoveForm>
    </Dialog>
  );
}

/** Something that is done to the question: once done, all that shows it looks again. */
function useMove(id: string, onMoved: () => void, onClose: () => void) {
  const act = useAct();
  async function run(work: () => Promise<unknown>) {
    const worked = await act.run(work);
    for (const key of ["inbox", `votes:${id}`, `deliveries:${id}`]) refresh(key);
    onMoved();
    if (worked) onClose();
  }
  return { act, run };
}

interface MoveFormProps {
  act: Act;
  send: (filled: FormData) => void;
  yes: string;
  isBad?: boolean;
  onClose: () => void;
  children: ReactNode;
}

function MoveForm({ act, send, yes, isBad = false, onClose, children }: MoveFormProps) {
  const form = useRef<HTMLFormElement>(null);
  function submitted(event: FormEvent) {
    event.preventDefault();
    if (form.current !== null) send(new FormData(form.current));
  }
  return (
    <form ref={form} className="form" onSubmit={submitted}>
      {children}
      {act.error === null ? null : <Trouble error={act.error} />}
      <div className="row">
        <button type="submit" className="button" data-kind={isBad ? "bad" : "main"} disabled={act.busy}>
          {yes}
        </button>
        <button type="button" className="button" onClick={onClose}>
          Leave it
        </button>
      </div>
    </form>
  );
}

function Names({ name, label, first }: { name: string; label: string; first: readonly string[] }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <span className="needed">by commas</span>
      </label>
      <input id={id} name={name} className="input" autoComplete="off" defaultValue={first.join(", ")} />
    </div>
  );
}

/** The names in a text, by commas. */
function namesOf(text: FormDataEntryValue | null): readonly string[] {
  return String(text ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
}
