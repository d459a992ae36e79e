// The field that an answer refuses: data-faults="code code" says for which codes a field is at fault; of `invalid` the
// message names the field itself. It is marked, described by the message, and focused.

import type { Problem } from "./send";

type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

let count = 0;

/** Whether a field of the form was found to be at fault. */
export function markFault(form: HTMLFormElement, problem: Problem): boolean {
  const named = problem.code === "invalid" ? /'body\.(\w+)/.exec(problem.detail)?.[1] : undefined;
  const field = fields(form).find((one) => codes(one).includes(problem.code) || (named !== undefined && one.name === named));
  const place = form.querySelector<HTMLElement>(".said");
  if (!field || !place || field.disabled) return false;
  place.id ||= `said-${++count}`;
  field.setAttribute("aria-invalid", "true");
  field.dataset["hint"] = field.getAttribute("aria-describedby") ?? "";
  field.setAttribute("aria-describedby", `${field.dataset["hint"]} ${place.id}`.trim());
  field.addEventListener("input", () => unmarkField(field), { once: true });
  field.focus();
  if (field instanceof HTMLInputElement) field.select();
  return true;
}

/** Takes the marks away before the form is sent again; a field that is changed loses its own. */
export function unmark(form: HTMLFormElement): void {
  for (const field of fields(form)) if (field.getAttribute("aria-invalid") === "true") unmarkField(field);
}

function unmarkField(field: Field): void {
  field.removeAttribute("aria-invalid");
  field.setAttribute("aria-describedby", field.dataset["hint"] ?? "");
  if (!field.dataset["hint"]) field.removeAttribute("aria-describedby");
}

function fields(form: HTMLFormElement): Field[] {
  return [...form.elements].filter((one): one is Field => one instanceof HTMLInputElement || one instanceof HTMLSelectElement || one instanceof HTMLTextAreaElement);
}

function codes(field: Field): string[] {
  return (field.dataset["faults"] ?? "").split(" ");
}
