import type { FormClasses } from "@agentflow/react";

/** The parts of a form, as the dashboard's styles name them. */
export const FORM: FormClasses = {
  form: "form",
  field: "field",
  input: "input",
  line: "input line",
  code: "input code",
  needed: "needed",
  hint: "hint",
  problem: "problem",
  nested: "nested",
  item: "list-row",
  check: "check",
  checks: "checks",
  button: "button",
  remove: "icon-button",
  submit: "button",
  actions: "row",
};
