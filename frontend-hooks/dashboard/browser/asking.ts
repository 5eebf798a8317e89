import type { Page } from "playwright-core";
import { contrast, names, width } from "./audit.ts";
import type { Stage } from "./drive.ts";
import { equal, shows } from "./expect.ts";

type Case = (stage: Stage) => Promise<void>;

export const POCKET = { width: 375, height: 812 };
const DESK = { width: 1280, height: 860 };

const LOOKS = [
  { scheme: "dark", size: POCKET, audits: [width, names, contrast] },
  { scheme: "dark", size: DESK, audits: [] },
  { scheme: "light", size: POCKET, audits: [] },
  { scheme: "light", size: DESK, audits: [width, names, contrast] },
] as const;

/** A page fits and can be read on a phone in the dark and at a desk in the light; pictures are of the other two as well. */
export async function everyLook({ page, shot }: Pick<Stage, "page" | "shot">, name: string): Promise<void> {
  const isPictured = process.env.AGENTFLOW_SHOTS !== undefined;
  for (const { scheme, size, audits } of LOOKS.filter((one) => isPictured || one.audits.length > 0)) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize(size);
    for (const audit of audits) await audit(page, `${name} at ${size.width} in ${scheme}`);
    await shot(`${name}-${size.width}-${scheme}`);
  }
}

export const card = (page: Page, name: string) => page.getByRole("article", { name });

/** An inbox is worked through by keys alone; what others decide shows by itself, and who comes second is told so. */
const inbox: Case = async (stage) => {
  const { page, context, open, tell, shot, forgive } = stage;
  await open("/approvals");
  await page.getByLabel("Answer as").fill("maria");
  await page.keyboard.press("Enter");
  await tell("start");
  await shows(card(page, "Refund 200.00 to Maria?"));
  await shows(card(page, "Publish The tides?"));
  await shows(card(page, "Delete the index orders?"));
  const order = await page.getByRole("article").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
  equal(order.join("; "), "Delete the index orders?; Publish The tides?; Refund 200.00 to Maria?", "risk comes first");
  await shows(card(page, "Delete the index orders?").getByText("U+202E"));
  await shows(card(page, "Publish The tides?").getByText("0 of 2"));
  await everyLook(stage, "inbox");

  const other = await context.newPage();
  await other.goto(page.url());
  await page.reload();
  // The first is critical: a is not enough, and Escape leaves all as it was.
  await shows(card(page, "Delete the index orders?"));
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await shows(card(page, "Delete the index orders?").getByLabel("Why?"));
  await page.keyboard.press("Escape");
  await page.keyboard.press("d");
  await page.keyboard.type("it is in use");
  await page.keyboard.press("Enter");
  await shows(card(page, "Delete the index orders?").getByText("Denied by maria"));
  await shows(card(other, "Delete the index orders?").getByText("Denied by maria"));
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await page.keyboard.type("well written");
  await page.keyboard.press("Enter");
  await shows(card(page, "Publish The tides?").getByText("1 of 2"));
  await shows(card(other, "Publish The tides?").getByText("1 of 2"));
  await other.close();
  // Ana is faster than what is sent from here.
  forgive(/409/);
  await page.route("**/decisions", async (route) => {
    await tell("ana");
    await route.continue();
  });
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  const second = card(page, "Refund 200.00 to Maria?");
  await shows(second.getByText(/^Denied by Ana/));
  await shows(second.getByText("Your answer came second, and does not count."));
  await page.unroute("**/decisions");
  await tell("bo");
  await shows(card(page, "Publish The tides?").getByText("Approved by maria, bo"));
  await shows(page.getByText("Nobody waits for you"));
  await shot("decided");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await shows(page.getByRole("heading", { name: "What people said" }));
  await shows(page.getByRole("list", { name: "What people said" }).getByText("well written"));
  await everyLook(stage, "approval");
};

/** A form that a run asks for: what does not fit is said at its field, by the page, and then by the server. */
const form: Case = async (stage) => {
  const { page, open, tell, forgive } = stage;
  await open("/approvals");
  await tell("start");
  const asked = card(page, "How should order o-81 go out?");
  await shows(asked);
  await asked.getByLabel("Weight in kg").fill("0");
  await asked.getByLabel("postcode").fill("0150");
  await asked.getByLabel("street").fill("Storgata 1");
  await asked.getByRole("button", { name: "Send the answer" }).click();
  await shows(asked.getByText("More than 0."));
  equal(await asked.getByText("Needed.").count(), 3, "what is needed says so");
  equal(await asked.getByLabel("carrier").evaluate((one) => one === document.activeElement), true, "the first of them is gone to");
  await everyLook(stage, "form");
  await asked.getByLabel("carrier").selectOption("ups");
  await asked.getByLabel("Weight in kg").fill("2.5");
  await asked.locator("[type=date]").fill("2027-01-31");
  await asked.getByLabel("text message").check();
  await asked.getByLabel("city").fill("Oslo");
  // Its pattern is of another dialect than the browser's.
  forgive(/422/);
  await asked.getByRole("button", { name: "Send the answer" }).click();
  await shows(asked.getByRole("alert").getByText("Should match"));
  await asked.getByLabel("postcode").fill("no-0150");
  equal(await asked.getByRole("alert").count(), 0, "what is changed is not complained of");
  await asked.getByRole("button", { name: "Send the answer" }).click();
  await shows(asked.getByText("Answered by dashboard"));
  await asked.getByRole("link").click();
  await page.getByRole("link", { name: "its run" }).click();
  await shows(page.getByLabel("Values").getByText("ups 2.5 2027-01-31 1 text message no-0150 Oslo"));
};

/** On a phone, in a pocket: the arguments of a call are changed, and what is changed is seen before it is sent. */
const pocket: Case = async (stage) => {
  const { page, open, tell } = stage;
  await page.setViewportSize(POCKET);
  await open("/approvals");
  await tell("start");
  const asked = card(page, "Run transfer?");
  await shows(asked.getByText("4900"));
  await asked.getByRole("button", { name: "Edit and approve" }).click();
  await shows(asked.getByText("Nothing is changed yet."));
  await asked.getByLabel("cents").fill("2500");
  await asked.getByLabel("note").fill("Refund for order o-82, agreed by phone");
  const changed = asked.getByLabel("What is changed");
  await shows(changed.locator("del").getByText("4900"));
  await shows(changed.locator("ins").getByText("2500"));
  equal(await changed.locator("ins").last().textContent(), "2", "of a long text, what differs is marked");
  await everyLook(stage, "edit");
  await page.setViewportSize(POCKET);
  await asked.getByRole("button", { name: "Approve with these" }).click();
  await shows(asked.getByText("Approved with changes by dashboard"));
  await asked.getByRole("link").click();
  await shows(page.getByRole("heading", { name: "What was asked" }));
  await shows(page.getByLabel("What is changed").locator("ins").getByText("2500"));
  await width(page, "what was approved");
};

/** By a link, on a phone that runs no script: a call is changed and approved, a form is filled in wrong first and then right. */
const link: Case = async ({ plain, tell, shot, forgive }) => {
  const page = await plain({ viewport: POCKET, isMobile: true, hasTouch: true });
  const stage = { page, shot: (name: string) => shot(name, page) };
  const [call, question] = (await tell("start")).split(" ");
  await page.goto(call ?? "");
  await shows(page.getByRole("heading", { name: "Run transfer?" }));
  await everyLook(stage, "link");
  await page.setViewportSize(POCKET);
  await page.getByText("Change what will run").tap();
  await page.getByLabel("cents").fill("2500");
  await page.getByLabel("Why").fill("Half of it, as agreed.");
  await everyLook(stage, "link-edit");
  await page.setViewportSize(POCKET);
  await page.getByRole("button", { name: "Approve" }).tap();
  await shows(page.getByRole("heading", { name: "Run transfer?" }));
  await shows(page.getByText("Approved with changes by otto"));
  await everyLook(stage, "link-approved");
  await page.setViewportSize(POCKET);
  await page.goto(question ?? "");
  await page.getByLabel("Weight in kg").fill("0");
  await page.getByLabel("carrier").selectOption("ups");
  await page.getByLabel("postcode").fill("0150");
  await page.getByLabel("street").fill("Storgata 1");
  await page.getByLabel("city").fill("Oslo");
  await page.locator("[type=date]").fill("2027-01-31");
  await shot("link-form", page);
  forgive(/422/);
  await page.getByRole("button", { name: "Send" }).tap();
  await shows(page.getByRole("alert").getByText("Something does not fit"));
  equal(await page.getByLabel("street").inputValue(), "Storgata 1", "what was right is still there");
  equal(await page.locator("[aria-invalid]").count(), 2, "what is wrong is marked");
  await everyLook(stage, "link-form-wrong");
  await page.setViewportSize(POCKET);
  await page.getByLabel("Weight in kg").fill("2.5");
  await page.getByLabel("postcode").fill("no-0150");
  await page.getByRole("button", { name: "Send" }).tap();
  await shows(page.getByText("Answered by otto"));
  await everyLook(stage, "link-form-sent");
};

export const ASKING: Readonly<Record<string, Case>> = { inbox, form, pocket, link };
