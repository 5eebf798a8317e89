import { readFile } from "node:fs/promises";
import { card, everyLook } from "./asking.ts";
import type { Stage } from "./drive.ts";
import { equal, shows } from "./expect.ts";

type Case = (stage: Stage) => Promise<void>;

const DESK = { width: 1280, height: 860 };

/**
 * A yes stands from the inbox on: an equal call is not asked about, until it is taken back. The next one is given to others, and then
 * taken back itself; the audit has all of it, and as a file.
 */
const granted: Case = async (stage) => {
  const { page, open, tell } = stage;
  await open("/approvals");
  await page.getByLabel("Answer as").fill("maria");
  await page.keyboard.press("Enter");
  await tell("first");
  const asked = card(page, "Run transfer?");
  await asked.getByRole("button", { name: "Always allow" }).click();
  const places = await asked.getByLabel("Where").locator("option").allTextContents();
  equal(places.join("; "), "In this run; Whenever cashier asks; Whoever asks", "where a yes may stand");
  await everyLook(stage, "always");
  await asked.getByLabel("Where").selectOption("agent");
  await asked.getByLabel("How often").fill("5");
  await asked.getByLabel("Why?").fill("The same sum each month.");
  await asked.getByRole("button", { name: "Approve, and allow from now on" }).click();
  await shows(asked.getByText("Approved by maria"));
  await everyLook(stage, "always-given");
  await asked.getByRole("link", { name: "Allowed from then on for this agent, for 1 h, 5 times at most." }).click();
  const grant = page.getByRole("list", { name: "Grants" }).getByRole("listitem");
  await shows(grant.getByText("whenever cashier asks"));
  await shows(grant.getByText("The same sum each month."));
  await shows(grant.getByText("used 0 of 5 times"));
  await tell("second");
  await shows(grant.getByText("used 1 of 5 times"));
  await everyLook(stage, "grants");
  await page.setViewportSize(DESK);
  await grant.getByRole("button", { name: "Take back" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
  await shows(page.getByText("Every call is asked about"));
  await page.getByRole("button", { name: "All" }).click();
  await shows(grant.getByText("taken back by maria"));
  await tell("third");
  await page.getByRole("link", { name: "Inbox" }).click();
  await shows(asked.getByRole("button", { name: "Edit and approve" }));
  await asked.getByRole("link").first().click();
  await moved(stage);
  await audited(stage);
};

/** From its page a question is given to others, and taken back with a reason. */
async function moved(stage: Stage): Promise<void> {
  const { page, shot, forgive } = stage;
  const asked = card(page, "Run transfer?");
  await page.getByRole("button", { name: "Give it to others" }).click();
  const dialog = page.getByRole("dialog");
  equal(await dialog.getByLabel("Groups").inputValue(), "finance", "who may decide now is filled in");
  await dialog.getByLabel("Groups").fill("");
  forgive(/422/);
  await dialog.getByRole("button", { name: "Give it to them" }).click();
  await shows(dialog.getByRole("alert"));
  await everyLook(stage, "others");
  await page.setViewportSize(DESK);
  await dialog.getByLabel("People").fill("ana, bo");
  await dialog.getByRole("button", { name: "Give it to them" }).click();
  await shows(asked.getByText("for bo"));
  await shows(page.getByRole("list", { name: "What people said" }).getByText("gave it to ana, bo"));
  await everyLook(stage, "given");
  await page.setViewportSize(DESK);
  await page.getByRole("button", { name: "Take it back" }).click();
  await dialog.getByLabel("Something else took its place").check();
  await dialog.getByLabel("Reason").fill("Paid by card.");
  await shot("back");
  await dialog.getByRole("button", { name: "Take it back" }).click();
  await shows(asked.getByText("Taken back by maria"));
  equal(await page.getByRole("button", { name: "Give it to others" }).count(), 0, "what has ended is nobody's");
}

/** The audit of that question, then of all; and the file has the same. */
async function audited(stage: Stage): Promise<void> {
  const { page } = stage;
  const entries = page.getByRole("list", { name: "Audit" }).locator("[data-entry]");
  await page.getByRole("link", { name: "its audit" }).click();
  await shows(entries.getByText("something else took its place"));
  equal(await entries.count(), 2, "the audit of one question");
  await page.getByLabel("Waitpoint, run, or person").fill("");
  await shows(entries.getByText("let a call through"));
  await page.getByLabel("Type").selectOption("grant");
  equal(await entries.count(), 3, "given, used, taken back");
  await entries.first().locator("summary").click();
  await shows(entries.first().getByText("revoke"));
  await everyLook(stage, "audit");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  const lines = (await readFile(await download.path(), "utf8")).trimEnd().split("\n");
  equal(download.suggestedFilename(), "agentflow-audit.jsonl", "the file");
  equal(lines.map((line) => JSON.parse(line).type).join(" "), "decision grant grant grant reassign supersede", "all of it");
}

export const GRANTING: Readonly<Record<string, Case>> = { granted };
