import { questionOf, useGrants } from "@agentflow/react";
import { expect, test } from "vitest";
import { renderHook, waitFor } from "../../testing/render.tsx";
import { openSite, Page } from "./site.tsx";

const site = openSite();
const wrapper = ({ children }: { readonly children: React.ReactNode }) => <Page site={site}>{children}</Page>;

test("grants are listed, looked at anew when a run goes on, and taken back", async () => {
  let grants = [{ id: "grant_1", uses: 0 }];
  let goOn = () => {};
  site.server.on("GET /v1/grants", (_, reply) => reply.json({ grants }));
  site.server.on("DELETE /v1/grants/grant_1", (_, reply) => {
    grants = [];
    reply.json({ id: "grant_1", counts: false });
  });
  site.server.on("GET /v1/index/stream", (_, reply) => {
    reply.stream().say({ type: "sync.snapshot", reset: true, runs: [{ id: "a", status: "running" }] });
    goOn = () => reply.say({ type: "run.changed", run: { id: "a", status: "completed" } });
  });
  const { result } = renderHook(() => useGrants({ tool: "pay" }), wrapper);
  expect(result.current).toMatchObject({ grants: [], isLoading: true });
  await waitFor(() => expect(result.current.grants).toEqual([{ id: "grant_1", uses: 0 }]));
  grants = [{ id: "grant_1", uses: 1 }];
  goOn();
  await waitFor(() => expect(result.current.grants).toEqual([{ id: "grant_1", uses: 1 }]));
  expect(site.server.to("GET /v1/grants")[0]?.query.get("tool")).toBe("pay");
  expect(await result.current.revoke("grant_1", { by: "ana" })).toMatchObject({ counts: false });
  await waitFor(() => expect(result.current).toMatchObject({ grants: [], error: null }));
  site.server.on("DELETE /v1/grants/grant_1", (_, reply) => reply.problem(403, "scope_missing"));
  await expect(result.current.revoke("grant_1")).rejects.toMatchObject({ status: 403 });
});

test.each([
  [{ kind: "tool" }, "run_1", true],
  [{ kind: "tool", need: 2 }, "run_1", false],
  [{ kind: "outcome" }, "run_1", false],
  [{}, "run_1", false],
  [{ kind: "tool" }, null, false],
])("whether a yes to %o of %s may stand: %s", (subject, run, may) => {
  const one = { id: "wp_1", kind: "approval", state: "pending", step: null, target: null, schema: null, answer: null, answered_by: null };
  expect(questionOf({ ...one, subject, run, due_at: null, created_at: 1, ended_at: null } as never).canStand).toBe(may);
});
