import { AgentflowError, type AuditEntry, type DecidedOne, type DeliveryInfo, type GrantInfo, type Waitpoint } from "@agentflow/client";
import { byUrgency, isFor, progressOf, questionOf, type Refusal } from "@agentflow/react";
import { describe, expect, test } from "vitest";
import { actorWords, deedWords, isFound } from "../src/asking/audit-words.ts";
import { between, changes } from "../src/asking/diff.ts";
import { matchWords, overWords, scopesFor, standsWords, usesWords } from "../src/asking/grant-words.ts";
import { turnsOf } from "../src/asking/turns.ts";
import { addressee, deliveryWords, refusalWords, standing, togetherWords, toWords, valueFrom } from "../src/asking/words.ts";

const asked = (more: object = {}): Waitpoint => ({
  ...{ id: "wp_1", kind: "approval", state: "pending", run: "run_1", step: null, target: null, subject: {}, schema: null },
  ...{ answer: null, answered_by: null, due_at: null, created_at: 1, ended_at: null, times: 1, held: null },
  ...more,
});

describe("what a person changes", () => {
  test("is told place by place", () => {
    const before = { order: "o-1", cents: 100, lines: [{ sku: "a" }, { sku: "b" }], note: "x" };
    const after = { order: "o-1", cents: "100", lines: [{ sku: "a" }, { sku: "c" }], why: null };
    expect(changes(before, after)).toEqual([
      { path: "cents", before: 100, after: "100" },
      { path: "lines.1.sku", before: "b", after: "c" },
      { path: "note", before: "x" },
      { path: "why", after: null },
    ]);
    expect(changes(before, structuredClone(before))).toEqual([]);
    expect(changes({ tags: ["a"] }, { tags: ["a", "b"] })).toEqual([{ path: "tags", before: ["a"], after: ["a", "b"] }]);
  });

  test.each([
    ["send it to Ana", "send it to Bo", { head: "send it to ", old: "Ana", now: "Bo", tail: "" }],
    ["aa", "aaa", { head: "aa", old: "", now: "a", tail: "" }],
    ["😀", "😁", { head: "", old: "😀", now: "😁", tail: "" }],
  ])("is marked in a text: %s, %s", (before, after, told) => {
    expect(between(before, after)).toEqual(told);
  });
});

describe("an inbox", () => {
  test("has what is risky first, then what ends soon, then what has waited longest", () => {
    const some = [
      asked({ id: "low", subject: { risk: "low" }, due_at: 5 }),
      asked({ id: "old" }),
      asked({ id: "new", created_at: 2 }),
      asked({ id: "soon", due_at: 10 }),
      asked({ id: "critical", subject: { risk: "critical" } }),
    ];
    expect(some.sort(byUrgency).map((one) => one.id)).toEqual(["critical", "soon", "old", "new", "low"]);
  });

  test.each([
    [{}, ["maria"], true],
    [{}, [], true],
    [{ users: ["maria"] }, ["maria"], true],
    [{ users: ["maria"] }, [], false],
    [{ groups: ["editors"] }, ["otto", "editors"], true],
    [{ users: ["user:maria"] }, ["maria"], true],
    [{ users: ["maria"] }, ["user:maria"], true],
    [{ groups: ["ops"] }, ["maria"], false],
    [{ requester: "maria" }, ["maria"], false],
    [{ requester: "user:maria" }, ["maria"], false],
    [{ requester: "maria", requesters: ["maria", "user:bob"] }, ["bob"], false],
  ])("of %o for %o: %s", (subject, names, whether) => {
    expect(isFor(questionOf(asked({ subject })), names)).toBe(whether);
  });

  test("counts distinct people who say yes to the same", () => {
    const said = (actor: string, choice: string, edits?: object, counted = true) => ({
      actor,
      choice,
      said: { edits },
      counted,
      why: null,
      at: 1,
    });
    expect(progressOf([said("a", "approve"), said("a", "approve"), said("b", "approve", {}, false)])).toBe(1);
    expect(progressOf([said("a", "approve"), said("b", "approve", { cents: 1 }), said("c", "approve")])).toBe(2);
    expect(progressOf([said("a", "approve"), said("a", "deny")])).toBe(0);
    expect(progressOf([said("a", "approve"), said("boss", "reassign"), said("b", "approve")])).toBe(1);
  });
});

describe("what became of a question", () => {
  test.each([
    [{ state: "answered", answer: { approved: false }, answered_by: "Ana" }, "Denied by Ana"],
    [{ state: "answered", answer: { approved: true, edits: { a: 1 } }, answered_by: "Ana" }, "Approved with changes by Ana"],
    [{ state: "answered", kind: "input", answer: 3, answered_by: "Ana" }, "Answered by Ana"],
    [{ state: "timed_out" }, "Nobody answered in time"],
    [{ state: "timed_out", answer: { details: { on_timeout: "approve" } } }, "Nobody answered in time, so it was approved"],
    [{ state: "cancelled", answered_by: "boss" }, "Taken back by boss"],
    [{ subject: { kind: "outcome" }, state: "answered", answer: { approved: true }, answered_by: "Ana" }, "Run again by Ana"],
    [
      { subject: { kind: "outcome" }, state: "answered", answer: { approved: true, edits: { outcome: "done" } }, answered_by: "Ana" },
      "Told to be done by Ana",
    ],
    [{ subject: { kind: "outcome" }, state: "answered", answer: { approved: false }, answered_by: "Ana" }, "Told to have failed by Ana"],
    [{ state: "cancelled", answered_by: "system:race" }, "No longer asked: its run went on"],
    [
      { state: "answered", answer: { approved: true, grant: "grant_1", granted_by: "Ana" }, answered_by: "grant:grant_1" },
      "Let through by a grant of Ana",
    ],
  ])("%o: %s", (more, words) => {
    expect(standing(asked(more))).toBe(words);
  });

  test("is a fact for whom it comes too late, or who may not decide", () => {
    const refused = (why: Refusal["why"], details = {}) =>
      refusalWords(
        { why, problems: {}, error: new AgentflowError({ message: "m", details }) },
        questionOf(asked({ subject: { groups: ["ops"] } })),
      );
    expect(refused("answered")).toMatch(/came second/);
    expect(refused("not_allowed", { reason: "self_approval" })).toMatch(/You asked for this/);
    expect(refused("not_allowed")).toBe("This is not yours to decide: ask ops.");
  });
});

describe("calls of one turn", () => {
  const calling = (id: string, more: object = {}, subject: object = {}) =>
    asked({ id, subject: { kind: "tool", agent: "cashier", call: id, risk: "low", ...subject }, ...more });
  const ids = (...some: Waitpoint[]) => turnsOf(some).map((turn) => turn.calls.map((one) => one.id));

  test("are answered together where none of them is grave", () => {
    expect(ids(calling("a"), calling("b", {}, { risk: "medium" }), calling("c", {}, { risk: undefined }))).toEqual([["a", "b", "c"]]);
    expect(ids(calling("a"), calling("b", {}, { risk: "high" }), calling("c"))).toEqual([["a", "c"]]);
  });

  test.each([
    ["of another run", {}, { run: "run_2" }],
    ["of another agent", { agent: "other" }, {}],
    ["that is of high risk", { risk: "high" }, {}],
    ["that is of critical risk", { risk: "critical" }, {}],
    ["that is no call", { call: undefined }, {}],
    ["that was cut off", { kind: "outcome" }, {}],
    ["that has ended", {}, { state: "answered" }],
    ["that is a form", {}, { kind: "input" }],
  ])("but not with one %s", (_, subject, more) => {
    expect(ids(calling("a"), calling("b", more, subject))).toEqual([]);
  });

  test("tell what became of each", () => {
    const done = (outcome: DecidedOne["outcome"], message = "") =>
      ({
        id: "wp",
        outcome,
        waitpoint: null,
        problem: message ? { code: "c", message, hint: "", details: {} } : null,
      }) satisfies DecidedOne;
    expect(togetherWords([done("resolved"), done("resolved")])).toBe("2 of 2 count.");
    expect(togetherWords([done("recorded"), done("refused", "Ana was first."), done("refused", "Ana was first.")])).toBe(
      "1 of 3 count. For 1 of them more people are needed. Ana was first.",
    );
  });
});

describe("what a person writes as what a call returned", () => {
  test.each([
    ["", null],
    ["12", 12],
    ['{"a": 1}', { a: 1 }],
    ["paid by hand", "paid by hand"],
  ])("%s", (text, value) => {
    expect(valueFrom(text)).toEqual(value);
  });
});

describe("a message about a question", () => {
  const sent = (more: Partial<DeliveryInfo>): DeliveryInfo => ({
    ...{ id: "d", channel: "email", address: "ana@acme.test", person: "ana", event: "requested", state: "sent", attempts: 1 },
    ...{ error: null, reference: null, created_at: 1, ended_at: 2 },
    ...more,
  });

  test.each([
    [{}, "ana (email:ana@acme.test)", "delivered"],
    [{ channel: "slack", address: "#ops", person: null, state: "pending", attempts: 0 }, "slack:#ops", "on its way"],
    [{ address: "", person: null, state: "pending", attempts: 2 }, "email", "not delivered yet, 2 tries"],
    [{ person: "ana@acme.test", state: "dead" }, "email:ana@acme.test", "not delivered, given up after one try"],
    [{ state: "dropped" }, "ana (email:ana@acme.test)", "no longer needed"],
  ] as const)("%o", (more, who, words) => {
    expect([addressee(sent(more)), deliveryWords(sent(more))]).toEqual([who, words]);
  });
});

test("a question that was given to others tells to whom", () => {
  expect(toWords({ to: { users: ["ana"], groups: ["editors"] } })).toBe("gave it to ana, editors");
  expect(toWords(null)).toBe("gave it to others");
});

describe("a grant", () => {
  const grant = (more: Partial<GrantInfo> = {}): GrantInfo => ({
    ...{ id: "grant_1", scope: "run", scope_id: "run_1", tool: "pay", match: { digest: "d" }, granted_by: "ana", waitpoint: "wp_1" },
    ...{ reason: null, max_uses: null, uses: 0, counts: true, created_at: 1, expires_at: 100, revoked_at: null, revoked_by: null },
    ...more,
  });

  test("is for just the same arguments, or says for which", () => {
    expect(matchWords(grant().match)).toBeNull();
    const args = { path: { prefix: "/tmp/" }, cents: { min: 1, max: 50 }, env: { in: ["a", "b"] }, new: { later: 1 } };
    expect(matchWords({ args })).toEqual([
      'path begins with "/tmp/"',
      "cents is at least 1 and is at most 50",
      'env is one of ["a","b"]',
      "new later 1",
    ]);
  });

  test("tells how often it was used, and why it does not count any more", () => {
    const uses = [
      [0, null],
      [2, null],
      [1, 5],
      [5, 5],
    ] as const;
    expect(uses.map(([uses, max_uses]) => usesWords({ uses, max_uses }))).toEqual([
      "not used yet",
      "used twice",
      "used 1 of 5 times",
      "used 5 of 5 times",
    ]);
    const over = [{}, { expires_at: 50 }, { max_uses: 1, uses: 1 }, { revoked_at: 5, revoked_by: "bo" }];
    expect(over.map((more) => overWords(grant(more), 50))).toEqual([null, "its time is over", "used up", "taken back by bo"]);
  });

  test("is given where there is such a place", () => {
    expect(scopesFor(null, null).map((one) => one.scope)).toEqual(["run", "all"]);
    expect(scopesFor("clerk", "t-7").map((one) => one.scope)).toEqual(["run", "thread", "agent", "all"]);
  });

  test("is told with the yes that gave it", () => {
    expect(standsWords({ approved: true })).toBeNull();
    const always = { scope: "run", expires: 3_600, max_uses: 1 };
    expect(standsWords({ approved: true, always })).toBe("Allowed from then on in this run, for 1 h, once at most.");
  });
});

describe("the audit", () => {
  const entry = (type: string, detail: unknown): AuditEntry => ({
    ...{ seq: 1, type, at: 1, waitpoint: "wp_1", run: null, actor: "Ana", via: "http", detail, prev: "", hash: "" },
  });

  test.each([
    ["decision", { choice: "approve", counted: true }, "approved"],
    ["decision", { choice: "approve", counted: false, why: "self_approval" }, "approved, which does not count: they asked for it"],
    ["grant", { choice: "use" }, "let a call through"],
    ["answer", { state: "answered" }, "answered"],
    ["timeout", {}, "nobody answered in time"],
    ["cancel", { choice: "cancel", counted: true }, "took it back"],
    ["later", null, "later"],
  ])("tells of %s %o", (type, detail, told) => expect(deedWords(entry(type, detail))).toBe(told));

  test("names whoever gave the grant that acts", () => {
    expect(actorWords({ ...entry("grant", { choice: "use", granted_by: "Bo" }), actor: "grant:grant_1" })).toBe("A grant of Bo");
    expect(actorWords(entry("grant", null))).toBe("Ana");
  });

  test("is looked through by who, how, and about what", () => {
    const one = entry("decision", {});
    expect(["", "ana", " WP_1", "http", "run_1"].map((text) => isFound(one, text))).toEqual([true, true, true, true, false]);
  });
});
