import type { Locator, Page } from "playwright-core";
import { everyLook } from "./asking.ts";
import type { Stage } from "./drive.ts";
import { equal, shows } from "./expect.ts";

type Case = (stage: Stage) => Promise<void>;

const row = (page: Page) => page.locator('[data-prompt="desk/letter"]');
const dialog = (page: Page) => page.getByRole("dialog");

/** Whether what has the focus is this. */
function focused(what: Locator): Promise<boolean> {
  return what.evaluate((one) => one === document.activeElement);
}

async function answersAs(page: Page, name: string): Promise<void> {
  await page.getByLabel("Answer as").fill(name);
  await page.keyboard.press("Enter");
}

/** A prompt is edited wrong first and then right, saved with a note, compared and released; the list shows what is live. */
const promptToRelease: Case = async (stage) => {
  const { page, open, tell, shot } = stage;
  await open("/approvals");
  await answersAs(page, "maria");
  await tell("start");
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await page.getByLabel("Search prompts").fill("letter prod");
  await shows(row(page).getByText("v1"));
  await shows(row(page).getByText("code", { exact: true }));
  await shows(row(page).getByText("1 version"));
  equal(await page.locator("[data-prompt]").count(), 1, "only what is searched for is shown");
  await everyLook(stage, "prompts");
  await row(page).click();

  const system = page.getByLabel("Message 1", { exact: true });
  const preview = page.getByRole("region", { name: "Preview" });
  await shows(preview.getByText("Fill in issue, name, plan to see"));
  const variables = page.getByRole("region", { name: "Variables" });
  // Of a call that was made, everything is taken, and one thing changed.
  await variables.getByLabel("Take those of a call").selectOption({ index: 1 });
  await shows(preview.getByText("Maria writes:"));
  await variables.getByLabel("name", { exact: true }).fill("Ada");
  await variables.getByLabel("issue").fill("Where is it? {{plan}}");
  await shows(preview.getByText("The customer's plan is pro. Be brief"));
  await shows(preview.getByText("The messages of history stand here."));
  await shows(preview.getByText("Where is it? {{plan}}"));

  await system.fill("You answer letters for the support desk.\nThe plan is {{plna}}. {{> tone}}");
  const wrong = page.getByText("line 2, column 13: there is no variable plna");
  await shows(wrong);
  equal(await system.getAttribute("aria-invalid"), "true", "the text says that it is wrong");
  equal(await page.getByRole("button", { name: "Save…" }).isDisabled(), true, "and cannot be saved");
  await everyLook(stage, "prompt-wrong");
  await page.getByRole("button", { name: "message 1 (system), line 2, column 13" }).click();
  equal(await focused(system), true, "a finding leads to its place");
  equal(await system.evaluate((one: HTMLTextAreaElement) => one.selectionStart), 53, "to the very character");
  await system.fill("You answer letters for the support desk.\nThe plan is {{plan}}. Be kind. {{> tone}}");
  await shows(preview.getByText("The plan is pro. Be kind. Be brief"));
  await wrong.waitFor({ state: "detached" });
  await page.getByRole("textbox", { name: /^Parameters/ }).fill('{"temperature": 0.7}');
  await page.getByRole("button", { name: "Add a message" }).click();
  await page.getByLabel("Message 4", { exact: true }).fill("In {{language}}.");
  await page.getByRole("button", { name: "Move message 4 up" }).click();
  await shows(page.getByRole("button", { name: "message 3 (user), line 1, column 4" }));
  await page.getByRole("button", { name: "Remove message 3" }).click();
  await shows(preview.getByText("Ada writes:"));
  // What is written stays while somebody looks elsewhere.
  await page.getByRole("link", { name: "Pins" }).click();
  await shows(page.getByText("1 run holds v1."));
  await page.getByRole("navigation", { name: "Way back" }).getByRole("link", { name: "Prompts" }).click();
  await row(page).click();
  equal((await system.inputValue()).includes("Be kind."), true, "what was written is still there");

  await page.getByRole("button", { name: "Save…" }).click();
  await shows(dialog(page).locator("ins").getByText("Be kind."));
  await shows(dialog(page).locator("dl").getByText("params.temperature"));
  await everyLook(stage, "prompt-save");
  await dialog(page).getByRole("button", { name: "Save the version" }).click();
  equal(await focused(dialog(page).getByLabel("What is better now?")), true, "a version needs a note");
  await dialog(page).getByLabel("What is better now?").fill("It is kinder.");
  await dialog(page).getByRole("button", { name: "Save the version" }).click();
  await shows(page.getByText("v2 is kept, and not live"));

  await page.getByRole("button", { name: "Release v2…" }).click();
  await shows(dialog(page).getByText("1 sleeping run keeps v1."));
  await shows(dialog(page).getByText("The code gives v2 all its variables."));
  await shows(dialog(page).locator("ins").getByText("Be kind."));
  await dialog(page).getByRole("button", { name: "Release", exact: true }).click();
  await shows(dialog(page).getByText("Say why"));
  await dialog(page).getByLabel("Goes back to the code").selectOption("7d");
  await dialog(page).getByLabel("Reason").fill("Customers like it.");
  await everyLook(stage, "prompt-release");
  await dialog(page).getByRole("button", { name: "Release", exact: true }).click();
  await dialog(page).waitFor({ state: "detached" });
  await shows(page.locator('[data-binding="prod"]').getByText("v2"));
  await shows(page.locator('[data-binding="prod"]').getByText("code is ahead"));
  await everyLook(stage, "prompt");

  // The same content again is the version that there is.
  await system.fill("You answer letters for the support desk.\nThe customer's plan is {{plan}}. {{> tone}}");
  await page.getByRole("textbox", { name: /^Parameters/ }).fill('{"temperature": 0.2}');
  await page.getByRole("button", { name: "Save…" }).click();
  await shows(dialog(page).getByText("v1 says just this"));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Versions" }).click();
  await shows(page.locator('[data-version="2"]').getByText("It is kinder."));
  await everyLook(stage, "prompt-versions");
  await page.getByRole("navigation", { name: "Way back" }).getByRole("link", { name: "Prompts" }).click();
  await shows(row(page).getByText("v2"));
  await shows(row(page).getByText(/pinned until/));
  await shows(row(page).getByText("2 versions"));
  await shot("prompts-released");
};

/** A release that comes second is refused, and looks again; versions are rolled out side by side, and rolled back; runs are moved. */
const promptMoved: Case = async (stage) => {
  const { page, open, tell, forgive } = stage;
  await open("/approvals");
  await answersAs(page, "maria");
  await tell("start");
  await open("/prompts/desk/letter");
  const live = page.locator('[data-binding="prod"]');
  await page.getByLabel("Message 3", { exact: true }).fill("{{name}} writes:\n{{issue}}");
  await page.getByRole("button", { name: "Save…" }).click();
  await dialog(page).getByLabel("What is better now?").fill("On a line of its own.");
  await dialog(page).getByRole("button", { name: "Save the version" }).click();
  await page.getByRole("button", { name: "Release v2…" }).click();
  await dialog(page).getByRole("button", { name: "Several" }).click();
  equal(await dialog(page).getByLabel("Share of version 2").inputValue(), "10", "a rollout begins with a tenth");
  await dialog(page).getByLabel("Reason").fill("Half of them.");
  // Bo is faster than what is sent from here.
  forgive(/409/);
  await page.route("**/bindings/prod/live", async (route) => {
    await tell("bo");
    await route.continue();
  });
  await dialog(page).getByRole("button", { name: "Release", exact: true }).click();
  await shows(dialog(page).getByText("It was moved while you looked at it"));
  await shows(dialog(page).getByText("it is v1 (pinned)."));
  equal(await dialog(page).getByRole("button", { name: "Release", exact: true }).isDisabled(), true, "it has to be looked at again");
  await everyLook(stage, "prompt-conflict");
  await page.unroute("**/bindings/prod/live");
  await dialog(page).getByRole("button", { name: "Look again" }).click();
  await dialog(page).getByLabel("Share of version 1").fill("50");
  await dialog(page).getByLabel("Share of version 2").fill("50");
  await dialog(page).getByLabel("v1 takes all when others are worse in").selectOption("error_rate");
  await everyLook(stage, "prompt-rollout");
  await dialog(page).getByRole("button", { name: "Release", exact: true }).click();
  await shows(live.getByText("rollout 50·50"));
  await shows(live.getByText("errors watched: v1 takes all"));

  await live.getByRole("button", { name: "Roll back…" }).click();
  await shows(dialog(page).getByText("It goes back to what held before the last move: v1."));
  await dialog(page).getByLabel("Reason").fill("Complaints.");
  await dialog(page).getByRole("button", { name: "Roll back" }).click();
  await shows(live.getByText("pinned", { exact: true }));
  await live.getByRole("button", { name: "Protect" }).click();
  await shows(live.getByText("protected"));

  await page.getByRole("link", { name: "Pins" }).click();
  const pin = page.getByRole("list", { name: "Runs that hold a version" });
  await shows(pin.getByText("v1"));
  await everyLook(stage, "prompt-pins");
  await pin.getByRole("button", { name: "Move…" }).click();
  await dialog(page).getByLabel("Reason").fill("It is better.");
  await dialog(page).getByRole("button", { name: "Move the run" }).click();
  await shows(pin.getByText("v2"));
  await page.getByRole("link", { name: "Versions" }).click();
  await page.locator('[data-version="2"]').getByRole("button", { name: "Take back…" }).click();
  await shows(dialog(page).getByText("1 sleeping run keeps v2."));
  await dialog(page).getByLabel("Reason").fill("It leaks.");
  await everyLook(stage, "prompt-revoke");
  await dialog(page).getByRole("button", { name: "Take it back" }).click();
  await shows(page.getByText("taken back: runs go on with v1"));

  await page.getByRole("link", { name: "Events" }).click();
  const told = page.getByRole("list", { name: "What happened" }).getByRole("listitem");
  await shows(told.filter({ hasText: "maria rolled back" }).getByText("Complaints."));
  await shows(told.filter({ hasText: "bo released" }).getByText("As it was."));
  await shows(told.first().getByText("It leaks."));
  await shows(told.filter({ hasText: "had the run" }));
  await everyLook(stage, "prompt-events");

  await page.getByRole("link", { name: "Compare" }).click();
  const costs = page.getByRole("row", { name: /^Cost of a call/ });
  await shows(costs.getByText("$0.0018"));
  await shows(page.getByRole("columnheader", { name: "v1" }));
  await everyLook(stage, "prompt-compare");
  await page.getByRole("link", { name: "Pins" }).click();
  await pin.getByRole("link").click();
  await shows(page.getByLabel("Values").getByRole("link", { name: "desk/letter v1" }));
  await everyLook(stage, "prompt-run");
  await page.locator(".bar-row").getByRole("link", { name: "desk/letter v1" }).click();
  await shows(page.locator('[data-version="1"]'));
};

/** Where a policy says so, a release is asked for, and waits for two people. */
const promptAsked: Case = async (stage) => {
  const { page, open, tell } = stage;
  await open("/approvals");
  await answersAs(page, "maria");
  await open("/prompts/desk/letter");
  const live = page.locator('[data-binding="prod"]');
  await live.getByRole("button", { name: "Release…" }).click();
  await shows(dialog(page).getByText("2 people have to agree (ana, bo)"));
  await dialog(page).getByLabel("Reason").fill("It stays as it is.");
  await dialog(page).getByRole("button", { name: "Release", exact: true }).click();
  await dialog(page).waitFor({ state: "detached" });
  const asked = page.getByRole("list", { name: "Releases that were asked for" });
  await shows(asked.getByText("asks to have v1 hold in prod"));
  await shows(asked.getByText("It stays as it is."));
  await shows(live.getByText("code", { exact: true }));
  await everyLook(stage, "prompt-asked");
  await asked.getByRole("link", { name: "waits for 2 people" }).click();
  await shows(page.getByRole("heading", { name: "Approval", exact: true }));
  await tell("agree");
  await open("/prompts/desk/letter?tab=events");
  await shows(live.getByText("pinned", { exact: true }));
  equal(await asked.count(), 0, "nothing waits any more");
  await shows(page.getByRole("listitem").filter({ hasText: "maria asks to have hold v1" }).getByRole("link", { name: "its approval" }));
};

export const PROMPTS: Readonly<Record<string, Case>> = { promptToRelease, promptMoved, promptAsked };
