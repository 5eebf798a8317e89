import type { LintFinding, PromptBinding, PromptEventInfo, PromptRollout, PromptVersion, RunGeneration } from "@agentflow/client";
import { describe, expect, test } from "vitest";
import { bodyOf, draftOf, findingsAt, isChanged, message, moved, offsetOf } from "../src/prompts/editing.ts";
import { formOf, taken, valuesOf } from "../src/prompts/filling.ts";
import { heldWords } from "../src/prompts/pins.tsx";
import { brought, moveOf, planFor } from "../src/prompts/releasing.ts";
import { holdsWord, inOrder, isFound, modeWord, placeOf, rolloutWords, sharesOf, toldBy, undone, wasBefore } from "../src/prompts/words.ts";
import { parse, paths } from "../src/router.ts";
import { byStep, speakerName, speakersOf } from "../src/run/prompts.ts";

const binding = (over: Partial<PromptBinding> = {}): PromptBinding => ({
  env: "production",
  label: "live",
  mode: "pinned",
  version: 5,
  code: 3,
  code_ahead: false,
  weights: {},
  rollout: null,
  expires_at: null,
  protected: false,
  rev: 7,
  updated_at: 0,
  ...over,
});

const event = (seq: number, type: string, before: unknown, after: unknown, over: Partial<PromptEventInfo> = {}): PromptEventInfo => ({
  seq,
  type,
  env: "production",
  label: "live",
  before,
  after,
  actor: "maria",
  reason: "",
  at: seq,
  ...over,
});

describe("what holds", () => {
  test("says its version, how it came, and the shares of a rollout", () => {
    const rollout = binding({ mode: "rollout", version: 3, weights: { "3": 0.9, "5": 0.1 } });
    expect([holdsWord(rollout), modeWord(rollout)]).toEqual(["v3 · v5", "rollout 90·10"]);
    expect(sharesOf({ "1": 1, "2": 2 })).toEqual([
      { version: 2, percent: 67 },
      { version: 1, percent: 33 },
    ]);
    expect([holdsWord(binding()), modeWord(binding())]).toEqual(["v5", "pinned"]);
    expect(modeWord(binding({ expires_at: Date.UTC(2027, 0, 29, 12) }))).toMatch(/^pinned until .*29/);
    expect([holdsWord(binding({ version: null })), placeOf(binding({ label: "next" }))]).toEqual(["nothing", "production · next"]);
  });

  test("is shown with the server's own environment first, and found by what is seen of it", () => {
    const bindings = [binding({ env: "dev" }), binding({ label: "next" }), binding({ code_ahead: true })];
    expect(inOrder({ live: binding(), bindings }).map(placeOf)).toEqual(["production", "production · next", "dev"]);
    const prompt = { name: "mail/greeting", description: "Greets.", bindings };
    expect(["", "GREET", "code is ahead", "next greets", "nowhere"].map((typed) => isFound(prompt, typed))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
  });
});

test("a rollout says for whom it is, how it grows and what stops it", () => {
  const rollout: PromptRollout = {
    id: "r",
    weights: { "5": 1 },
    sticky: "run",
    baseline: 3,
    conditions: { tags: ["vip", "beta"], tasks: null } as never,
    ramp: [
      { after_ms: 0, share: 0.1 },
      { after_ms: 7_200_000, share: 0.5 },
    ],
    guards: [
      { metric: "error_rate", on_breach: "pause" },
      { metric: "cost", on_breach: "rollback" },
    ],
    begun_at: 1_000,
  };
  expect(rolloutWords(rollout, 2_000)).toEqual([
    "for tags vip or beta only",
    "50 % in 1 h",
    "errors watched: v3 takes all",
    "the cost watched: it goes back",
  ]);
  expect(rolloutWords({ ...rollout, conditions: {}, ramp: [], guards: [] }, 2_000)).toEqual([]);
});

describe("what happened", () => {
  const events = [
    event(1, "deployed", null, { mode: "code", number: 1 }),
    event(2, "released", { mode: "code", number: 1 }, { mode: "pinned", number: 2 }),
    event(3, "released", { mode: "pinned", number: 1 }, { mode: "pinned", number: 9 }, { env: "dev" }),
    event(4, "rollout", { mode: "pinned", number: 2 }, { mode: "rollout", number: 2 }),
  ];

  test("is told in words, from what to what", () => {
    expect(toldBy(events[1] as PromptEventInfo)).toEqual({ what: "released", from: "v1, by the code", to: "v2" });
    expect(toldBy(events[3] as PromptEventInfo).to).toBe("a rollout, most of it v2");
    expect(toldBy(event(5, "version.created", null, 3))).toEqual({ what: "saved", from: null, to: "v3" });
    expect(toldBy(event(5, "version.revoked", 3, "repin:2")).what).toBe("took v3 back: runs that hold it go on with v2");
    const wants = (target: object) => toldBy(event(5, "release.requested", null, target)).to;
    expect(wants({ request: "r", mode: "pinned", version: 5 })).toBe("v5");
    expect(wants({ mode: "rollout", plan: { weights: { "3": 0.9, "5": 0.1 } } })).toBe("90 % v3, 10 % v5");
    expect(wants({ mode: "code" })).toBe("the version of the code");
    expect(toldBy(event(5, "prompt.archived", null, null)).what).toBe("prompt archived");
  });

  test("a rollback takes back the last move that was not taken back", () => {
    expect(wasBefore(events, binding())).toBe("v2");
    const once = [...events, event(5, "rolled.back", {}, {}), event(6, "protected", {}, {})];
    expect(wasBefore(once, binding())).toBe("v1, by the code");
    expect(undone([...once, event(7, "rolled.back", {}, {})], binding())).toBeNull();
    expect(wasBefore(events, binding({ env: "staging" }))).toBeNull();
  });

  test("runs that hold versions are counted", () => {
    expect(heldWords([{ version: 2 }, { version: 1 }, { version: 2 }])).toBe("1 run holds v1, 2 runs hold v2");
  });
});

describe("a release", () => {
  const seen = binding({ mode: "code", version: 3 });
  const plan = { ...planFor(seen, "pinned", 5, seen), reason: " cites the policy " };

  test("needs a reason, and says what shall hold", () => {
    expect(moveOf({ ...plan, reason: " " })).toMatch(/why/);
    expect(moveOf({ ...plan, env: "" })).toMatch(/environment/);
    expect(moveOf(plan)).toEqual({ mode: "pinned", version: 5, reason: "cites the policy" });
    expect(moveOf({ ...plan, expires: "3d" })).toMatchObject({ expires: "3d" });
    expect(moveOf({ ...plan, mode: "code" })).toEqual({ mode: "code", reason: "cites the policy" });
  });

  test("of several versions begins with a tenth, and refuses shares that are none", () => {
    const rollout = { ...plan, mode: "rollout" as const };
    expect(moveOf(rollout)).toEqual({ mode: "rollout", weights: { 3: 0.9, 5: 0.1 }, sticky: "run", reason: "cites the policy" });
    expect(moveOf({ ...rollout, parts: [{ version: 3, share: "nine" }] })).toMatch(/number/);
    expect(moveOf({ ...rollout, watched: "error_rate" })).toMatchObject({
      baseline: 3,
      guards: [{ metric: "error_rate", max_increase: 0.02 }],
    });
    const twice = [
      { version: 3, share: "1" },
      { version: 3, share: "1" },
    ];
    expect(moveOf({ ...rollout, parts: twice })).toMatch(/one share/);
  });

  test("is laid beside what is live", () => {
    expect(["pinned", "rollout", "code"].map((mode) => brought({ ...plan, mode: mode as "code" }, seen))).toEqual([5, 5, 3]);
  });
});

describe("variables", () => {
  const form = formOf({ properties: { name: { type: "string" }, tags: {}, topic: {} }, required: ["name", "tags", "topic"] });

  test("of no type are JSON, or else the text that they are", () => {
    expect(valuesOf(form, { name: "5", tags: '["a"]', topic: "bees and tea" }).value).toEqual({
      name: "5",
      tags: ["a"],
      topic: "bees and tea",
    });
    expect(Object.keys(valuesOf(form, { name: "Ada", tags: "", topic: "x" }).problems)).toEqual(["tags"]);
  });

  test("of a call stand in the form as they can be sent again", () => {
    const values = { name: "Ada", tags: ["a", 1], topic: "bees" };
    const shown = taken(form, values);
    expect(shown).toEqual({ name: "Ada", tags: '["a",1]', topic: "bees" });
    expect(valuesOf(form, shown as never).value).toEqual(values);
    expect(formOf({}).fields).toEqual([]);
  });
});

describe("a draft", () => {
  const version: PromptVersion = {
    prompt: "support",
    number: 3,
    hash: "sha256:9f2c1a",
    body: {
      engine: "af1",
      messages: [{ role: "system", content: "You help." }, { slot: "history" }, { role: "user", content: "{{issue}}" }],
      model: "openai:gpt-4o",
      params: { temperature: 0.2 },
      includes: { rules: "Be brief." },
      fenced: ["issue"],
      tools: [],
    },
    source: "code",
    note: "",
    actor: "deploy",
    created_at: 0,
    revoked_at: null,
    revoke_policy: null,
  };

  test("says what its version says until something is typed", () => {
    const draft = draftOf(version);
    const { tools, ...rest } = version.body;
    expect(bodyOf(draft)).toEqual({ body: rest, problems: {} });
    expect(isChanged(draft, version)).toBe(false);
    expect(isChanged({ ...draft, messages: moved(draft.messages, 0, 1) }, version)).toBe(true);
    expect(tools).toEqual([]);
  });

  test("without sense tells where", () => {
    const draft = { ...draftOf(version), params: "{", tools: "{}", messages: [] };
    const { body, problems } = bodyOf(draft);
    expect(body).toBeNull();
    expect(Object.keys(problems).sort()).toEqual(["messages", "params", "tools"]);
    expect(problems.tools).toBe("It has to be a list.");
  });

  test("keeps its messages when one goes past the end", () => {
    const list = [message("user", "a"), message("user", "b")];
    expect(moved(list, 1, 1)).toBe(list);
    expect(moved(list, 1, -1).map((one) => one.text)).toEqual(["b", "a"]);
  });

  test("has its findings at their messages, and the cursor at their places", () => {
    const finding = (where: string): LintFinding => ({ code: "contract", where, text: "", line: 2, column: 2, wrong: true });
    const all = [finding("message 1 (system)"), finding("message 12 (user)"), finding("partial rules")];
    expect(findingsAt(all, "message 1")).toEqual([all[0]]);
    expect(findingsAt(all, "partial rules")).toEqual([all[2]]);
    expect(offsetOf("a\n{{x}}", 2, 2)).toBe(3);
    expect(offsetOf("👋{{x}}", 1, 2)).toBe(2);
    expect(offsetOf("a", 9, 1)).toBe(1);
  });
});

test("addresses of prompts keep the slashes of their names", () => {
  expect(parse(`/${paths.prompt("mail/greeting", "pins")}`)).toEqual({ page: "prompt", name: "mail/greeting", tab: "pins" });
  expect(parse("/prompts/a%2Fb?tab=nothing")).toEqual({ page: "prompt", name: "a/b", tab: "editor" });
  expect(parse("/prompts/a/%ff")).toEqual({ page: "unknown", path: "/prompts/a/%ff" });
  expect(parse("/prompts/")).toEqual({ page: "prompts", query: "" });
  expect(parse("/prompts?q=code")).toEqual({ page: "prompts", query: "code" });
});

describe("who spoke in a run", () => {
  const call = (over: Partial<RunGeneration> = {}) =>
    ({ prompt: "support", version: 3, variant: null, hash: "sha256:9f2c", step: "llm#0", ...over }) as RunGeneration;

  test("is told by versions, in the order in which they did first", () => {
    const calls = [call(), call({ version: null, hash: "sha256:00aa", step: "llm#1" }), call({ step: "llm#2" }), call({ variant: "v3" })];
    expect(speakersOf(calls).map((one) => [speakerName(one), one.variant, one.calls])).toEqual([
      ["support v3", null, 2],
      ["support", null, 1],
      ["support v3", "v3", 1],
    ]);
  });

  test("and by steps: the last try of one counts", () => {
    expect(byStep([call(), call({ version: 4 })]).get("llm#0")?.version).toBe(4);
  });
});
