/** The hooks against the real server, which the test in Python starts: AGENTFLOW_URL says where. */

import { AgentflowClient } from "@agentflow/client";
import {
  AgentflowProvider,
  useApproval,
  useApprovals,
  useDecision,
  useDurableStream,
  useInput,
  useRun,
  useRunStream,
  useStream,
  useTriggerRun,
} from "@agentflow/react";
import { type ReactNode, StrictMode } from "react";
import { afterEach, describe, expect, test } from "vitest";
import { cleanup, renderHook, waitFor } from "../../testing/render.tsx";

const url = process.env.AGENTFLOW_URL ?? "";
const client = new AgentflowClient({ baseUrl: url });
const wrapper = ({ children }: { readonly children: ReactNode }) => (
  <StrictMode>
    <AgentflowProvider client={client}>{children}</AgentflowProvider>
  </StrictMode>
);

afterEach(() => {
  cleanup();
  client.detach();
});

describe.skipIf(!url)("with a real server", () => {
  test("a run is triggered, speaks and ends", async () => {
    const { result } = renderHook(() => {
      const run = useTriggerRun<string>("speech");
      return { ...run, stream: useRunStream(run.runId) };
    }, wrapper);
    await result.current.trigger();
    await waitFor(() => expect(result.current.isCompleted).toBe(true));
    await waitFor(() => expect(result.current.stream.text).toBe(result.current.output));
    expect(result.current.steps).toMatchObject([{ state: "completed", attempt: 2 }]);
  });

  test("an agent asks for leave, is given it on the page, and goes on", async () => {
    const { result } = renderHook(() => {
      const run = useTriggerRun("clerk");
      const asked = run.run?.approvals[0]?.id;
      return { ...run, approval: useApproval(asked), stream: useRunStream(run.runId, { kinds: ["text"] }) };
    }, wrapper);
    await result.current.trigger({ prompt: "Pay five cents." });
    await waitFor(() => expect(result.current.approval.status).toBe("pending"));
    expect(await result.current.approval.approve()).toBe("approved");
    await waitFor(() => expect(result.current.isCompleted).toBe(true));
    await waitFor(() => expect(result.current.stream.text).toBe("It is paid."));
  });

  test("two people agree, and each of the others is told how it is", async () => {
    const { result } = renderHook(() => {
      const run = useTriggerRun<string>("council");
      const id = run.run?.approvals[0]?.id;
      const [ana, bo, cy, eve] = [
        useApproval(id, { by: "ana" }),
        useApproval(id, { by: "bo" }),
        useApproval(id, { by: "cy" }),
        useApproval(id, { by: "eve" }),
      ];
      return { ...run, ana, bo, cy, eve };
    }, wrapper);
    await result.current.trigger();
    // Each hook loads the question for itself.
    await waitFor(() => {
      const { ana, bo, cy, eve } = result.current;
      expect([ana, bo, cy, eve].map((one) => one.status)).toEqual(["pending", "pending", "pending", "pending"]);
    });
    await result.current.eve.approve();
    await waitFor(() => expect(result.current.eve).toMatchObject({ state: "idle", refusal: { why: "not_allowed" }, error: null }));
    expect(await result.current.ana.approve()).toBe("pending");
    await waitFor(() => expect(result.current.ana).toMatchObject({ state: "recorded", progress: { need: 2, have: 1 } }));
    expect(await result.current.bo.approve({ reason: "it is time" })).toBe("approved");
    await waitFor(() => expect(result.current.bo).toMatchObject({ state: "resolved", status: "approved" }));
    expect(await result.current.cy.deny()).toBe("approved");
    await waitFor(() => expect(result.current.cy).toMatchObject({ state: "conflict", resolvedBy: "ana, bo" }));
    await waitFor(() =>
      expect(result.current.cy.votes.map((one) => [one.actor, one.counted])).toEqual([
        ["eve", false],
        ["ana", true],
        ["bo", true],
        ["cy", false],
      ]),
    );
    await waitFor(() => expect(result.current.output).toBe("ana, bo"));
  });

  test("a form is refused at its field, and taken when it fits", async () => {
    const { result } = renderHook(() => {
      const run = useTriggerRun<number>("headcount");
      const inbox = useApprovals(run.runId ? { run: run.runId } : {});
      return { ...run, asked: inbox.pending.find((one) => one.run === run.runId) ?? null };
    }, wrapper);
    await result.current.trigger();
    await waitFor(() => expect(result.current.asked?.kind).toBe("input"));
    const { result: form } = renderHook(() => useDecision(result.current.asked), wrapper);
    await form.current.decide({ value: { count: 80 } });
    await waitFor(() => expect(form.current.refusal?.problems).toEqual({ count: "Should be at most 50" }));
    expect(await form.current.decide({ value: { count: 8 } })).toBe("answered");
    await waitFor(() => expect(result.current.output).toBe(8));
  });

  test("a run is sent messages, each of them once, and says them again in a stream of its own", async () => {
    const { result } = renderHook(() => {
      const run = useTriggerRun<number>("parrot");
      return { ...run, send: useInput<string>(run.runId, "lines"), echoes: useStream<string>(run.runId, "echoes") };
    }, wrapper);
    await result.current.trigger();
    await waitFor(() => expect(result.current.runId).toBeTruthy());
    await result.current.send("one", { idempotencyKey: "k" });
    await result.current.send("one", { idempotencyKey: "k" });
    await result.current.send("two");
    await waitFor(() => expect(result.current.echoes.items).toEqual(["one", "two"]));
    await result.current.send("stop");
    await waitFor(() => expect(result.current.output).toBe(2));
    expect(result.current.echoes.last).toBe("two");
    await expect(result.current.send("late")).rejects.toMatchObject({ status: 409 });
  });

  test("a stream of one's own is made, appended to by one page and read by another", async () => {
    const path = `notes/${crypto.randomUUID()}`;
    const { result: writer } = renderHook(() => useDurableStream<{ text: string }>(path, { enabled: false }), wrapper);
    await writer.current.create({ ttl: 60 });
    await writer.current.append({ text: "before" });
    const { result: reader } = renderHook(() => useDurableStream<{ text: string }>(path), wrapper);
    await waitFor(() => expect(reader.current).toMatchObject({ items: [{ text: "before" }], upToDate: true }));
    await writer.current.append({ text: "live" });
    await waitFor(() => expect(reader.current.items).toEqual([{ text: "before" }, { text: "live" }]));
    expect(reader.current).toMatchObject({ closed: false, error: null });
  });

  test("a run that fails says why", async () => {
    const { result } = renderHook(() => {
      const { trigger, runId } = useTriggerRun("broken");
      return { trigger, ...useRun(runId) };
    }, wrapper);
    await result.current.trigger();
    await waitFor(() => expect(result.current).toMatchObject({ isFailed: true, error: { message: "this never works" } }));
  });
});
