import type { Page } from "playwright-core";
import { ASKING } from "./asking.ts";
import { contrast, names, width } from "./audit.ts";
import type { Stage } from "./drive.ts";
import { equal, shows } from "./expect.ts";
import { GRANTING } from "./granting.ts";
import { PROMPTS } from "./prompts.ts";

type Case = (stage: Stage) => Promise<void>;

/** A person starts a task, sees it ask, answers in place, and sees what became of it. */
const startToDone: Case = async ({ page, open, shot }) => {
  await open("/");
  await shows(page.getByText("Nothing has run yet"));
  await shot("empty");
  await page.getByRole("link", { name: "Start a task" }).click();
  await page.getByRole("link", { name: /^refund/ }).click();
  await page.getByRole("button", { name: "Start refund" }).click();
  equal(await page.getByText("Needed.").count(), 2, "fields that are needed say so");
  await page.getByLabel("order_id").fill("o-81");
  await page.getByLabel("cents").fill("20000");
  await shot("start");
  await page.getByRole("button", { name: "Start refund" }).click();
  const question = page.getByRole("article", { name: "Refund 200.00 to Maria?" });
  await shows(question);
  await shot("asked");
  await question.getByRole("button", { name: "Approve" }).click();
  await shows(page.locator('[data-status="completed"]').first());
  await shows(page.getByLabel("Values").getByText("refunded"));
  await page.getByText("Journal").click();
  await shows(page.locator(".entry").getByText("pay_back"));
  equal(await page.locator(".bar-row").filter({ hasText: "pay_back" }).count(), 1, "the timeline has the step");
  await shot("done");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await shows(page.locator('[data-run][data-status="completed"]'));
  await shot("runs");
};

/** An agent thinks, calls and asks; a person changes what it asked for, from elsewhere than the run's own page. */
const agentToDone: Case = async ({ page, open, tell, shot }) => {
  await open("/runs");
  await tell("start");
  const row = page.locator("[data-run]").filter({ hasText: "support" }).first();
  await shows(row.locator("[data-tone=wait]"));
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await shows(page.getByText("The customer asks about o-81. I look it up first."));
  await shows(page.locator('[data-call="look"][data-state="completed"]'));
  await shows(page.locator('[data-call="pay"][data-state="waiting"]'));
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await shows(page.getByRole("article", { name: "Run refund?" }));
  await page.keyboard.press("j");
  await shot("inbox");
  await page.keyboard.press("e");
  await page.getByLabel("cents").fill("2500");
  await shot("edit");
  await page.getByRole("button", { name: "Approve with these" }).click();
  await shows(page.getByText("Nobody waits for you"));
  await page.goBack();
  await shows(page.getByText("Your refund is on its way. I am sorry for the trouble.").first());
  await shows(page.locator('[data-call="pay"]').getByText("2500"));
  await shows(page.locator('[data-call="pay"]').getByText("approved by dashboard"));
  await shot("agent");
};

/** A question is refused with a reason, and a run is stopped with one, by keys where there are keys. */
const stop: Case = async ({ page, open, tell, shot }) => {
  await open("/approvals");
  await shows(page.getByText("Nobody waits for you"));
  await tell("start");
  await shows(page.getByRole("article", { name: "Refund 200.00 to Maria?" }));
  await page.keyboard.press("j");
  await page.keyboard.press("d");
  await page.keyboard.type("twice refunded");
  await shot("deny");
  await page.keyboard.press("Enter");
  await shows(page.getByText("Nobody waits for you"));
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.locator("[data-run]").filter({ hasText: "refund" }).click();
  await shows(page.getByLabel("Values").getByText("twice refunded"));
  await page.keyboard.press("u");
  await page.keyboard.press("/");
  await page.keyboard.type("task:follow_up status:waiting");
  await page.locator("[data-run]").filter({ hasText: "refund" }).waitFor({ state: "detached" });
  await page.locator("[data-run]").click();
  await shows(page.getByText(/Sleeps, and wakes in 59 min/));
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByLabel("Reason").fill("no longer needed");
  await shot("cancel");
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await shows(page.locator('article[data-status="cancelled"]'));
  await shows(page.getByLabel("Values").getByText("no longer needed"));
  await shot("cancelled");
  await open("/approvals");
  await tell("together");
  const together = page.getByRole("region", { name: "Calls of clerk" });
  await shows(together.getByText("waits for 2 calls at once"));
  await shot("together");
  await page.getByRole("article").first().getByRole("link").first().click();
  await shows(page.getByRole("list", { name: "Who was told" }).getByText("delivered"));
  await page.getByRole("button", { name: "Remind them" }).click();
  await shows(page.getByRole("list", { name: "Who was told" }).getByText("was reminded"));
  await shot("told");
  await page.goBack();
  await together.getByRole("button", { name: "Approve all 2" }).click();
  await shows(page.getByText("Approved by dashboard"));
  await shows(page.getByText("Nobody waits for you"));
  await tell("grave");
  const grave = page.getByRole("article", { name: "Run transfer?" });
  await grave.getByRole("button", { name: "Deny" }).click();
  await grave.getByLabel("Why not?").fill("Wrong account.");
  await grave.getByLabel("Stop the run, too").check();
  await shot("deny-and-stop");
  await grave.getByRole("button", { name: "Deny" }).click();
  await shows(grave.getByText("Denied by dashboard"));
};

/** Words that are half said are there once after a reload, and are said to their end. */
const reload: Case = async ({ page, open, tell, shot }) => {
  await open("/runs");
  await tell("start");
  await page.locator("[data-run]").click();
  const said = page.locator(".said p");
  await shows(said.filter({ hasText: /^One two three $/ }));
  await shot("half");
  await page.reload();
  await shows(said.filter({ hasText: /^One two three $/ }));
  await tell("go on");
  await shows(said.filter({ hasText: /^One two three four five six\.$/ }));
  await shows(page.locator('[data-status="completed"]').first());
  equal(await said.count(), 1, "what was said stands there once");
};

/** Seven tabs follow one run, although a browser opens six connections to one origin: those that nobody sees give theirs back. */
const tabs: Case = async ({ page, context, open, tell }) => {
  await context.addInitScript(() => {
    Object.defineProperty(document, "hidden", { get: () => document.documentElement.dataset.unseen !== undefined });
  });
  const turn = (tab: Page, seen: boolean) =>
    tab.evaluate((seen) => {
      document.documentElement.toggleAttribute("data-unseen", !seen);
      document.dispatchEvent(new Event("visibilitychange"));
    }, seen);
  await open("/runs");
  await tell("start");
  await page.locator("[data-run]").click();
  const half = (tab: Page) => shows(tab.locator(".said p").filter({ hasText: /^One two three $/ }));
  await half(page);
  const others: Page[] = [];
  for (let n = 0; n < 6; n += 1) {
    const tab = await context.newPage();
    others.push(tab);
    await tab.goto(page.url());
    await half(tab);
    if (n < 5) await turn(tab, false);
  }
  await turn(page, false);
  await tell("go on");
  const whole = (tab: Page) => shows(tab.locator(".said p").filter({ hasText: /^One two three four five six\.$/ }));
  for (const tab of [...others.slice(5), ...others.slice(0, 5), page]) {
    await turn(tab, true);
    await whole(tab);
    await shows(tab.locator('article[data-status="completed"]'));
    await shows(tab.locator('.bar-row[data-state="completed"]'));
    equal(await tab.locator(".bar-row").count(), 1, "the timeline tells of each step once");
  }
};

/** A conversation of two turns, and the same after a reload. */
const talk: Case = async ({ page, open, shot, forgive }) => {
  // A conversation that has not begun is not there yet.
  forgive(/404.*\/v1\/threads\//);
  await open("/tasks/support");
  await page.getByLabel("Message to support").fill("Order o-81 never came.");
  await page.keyboard.press("Enter");
  const question = page.getByRole("article", { name: "Run refund?" });
  await question.getByRole("button", { name: "Deny" }).click();
  await page.getByLabel("Why not?").fill("not this time");
  await shot("deny");
  await question.getByRole("button", { name: "Deny" }).click();
  await shows(page.locator('.answered[data-state="done"]'));
  await shows(page.getByText("Order o-81 never came."));
  await shot("talk");
  await page.reload();
  await shows(page.getByText("Order o-81 never came."));
  await shows(page.getByText("Your refund is on its way. I am sorry for the trouble."));
};

/** The key is asked for once, and kept in this tab alone. */
const key: Case = async ({ page, open, shot, forgive }) => {
  forgive(/401/);
  await open("/workers");
  await page.getByLabel("API key").fill("wrong");
  await page.keyboard.press("Enter");
  await shows(page.getByText("The server does not take this key."));
  await shot("key");
  await page.getByLabel("API key").fill("right");
  await page.keyboard.press("Enter");
  await shows(page.locator("[data-worker]"));
  await page.reload();
  await shows(page.locator("[data-worker]"));
  equal(await page.evaluate(() => Object.keys(localStorage).length), 0, "nothing is kept beyond the tab");
  await page.getByRole("button", { name: "Forget the API key" }).click();
  await shows(page.getByLabel("API key"));
};

/** A queue is paused and goes on, a worker drains and is gone, and every page says what that means. */
const fleet: Case = async ({ page, open, shot }) => {
  await open("/workers");
  await page.getByRole("button", { name: "Pause" }).click();
  await shows(page.getByText(/paused now by dashboard/));
  await shot("paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await shows(page.getByRole("button", { name: "Pause" }));
  await page.getByRole("button", { name: "Drain…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }).click();
  await shows(page.getByText("No live worker."));
  await shot("no-worker");
};

/** A server that goes away is missed, and one that is back is found. */
const away: Case = async ({ page, open, tell, shot, forgive }) => {
  forgive(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
  await open("/runs");
  await shows(page.locator("[data-run]"));
  await tell("leave");
  await shows(page.getByText("The server does not answer."));
  await shows(page.locator("[data-run]"));
  await shot("away");
  await tell("come back");
  await page.getByText("The server does not answer.").waitFor({ state: "detached" });
};

const PAGES = ["/runs", "/approvals", "/tasks", "/tasks/refund", "/tasks/support", "/prompts", "/prompts/desk/letter", "/workers"];

/** Every page fits a phone, has a name for whatever can be used, and can be read in light and in dark. */
const everywhere: Case = async (stage) => {
  const { page, open, tell, shot, forgive } = stage;
  // A conversation that has not begun is not there yet.
  forgive(/404.*\/v1\/threads/);
  await open("/runs");
  await tell("start");
  await page.locator('[data-run][data-status="waiting"]').first().click();
  await page.getByRole("button", { name: "Approve", exact: true }).waitFor();
  const run = new URL(page.url()).pathname;
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of [run, ...PAGES]) {
      await open(path);
      await page.locator("main h1").waitFor();
      for (const size of [375, 1280]) {
        await page.setViewportSize({ width: size, height: 800 });
        const what = `${path} at ${size} in ${scheme}`;
        await width(page, what);
        await names(page, what);
        await contrast(page, what);
        await shot(`${path.replaceAll("/", "_").replace(/run_.*/, "run")}-${size}-${scheme}`);
      }
    }
  }
  await page.keyboard.press("t");
  equal(await ground(stage), LIGHT, "t turns dark into light");
  await page.reload();
  await page.locator("main h1").waitFor();
  equal(await ground(stage), LIGHT, "and it stays so");
  await page.keyboard.press("?");
  await shows(page.getByRole("dialog", { name: "Keys" }));
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
};

const LIGHT = "rgb(250, 249, 246)";

function ground({ page }: Stage): Promise<string> {
  return page.evaluate(() => getComputedStyle(document.body).backgroundColor);
}

export const CASES: Readonly<Record<string, Case>> = {
  startToDone,
  agentToDone,
  stop,
  reload,
  tabs,
  talk,
  key,
  fleet,
  away,
  everywhere,
  ...ASKING,
  ...GRANTING,
  ...PROMPTS,
};
