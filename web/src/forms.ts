// Forms that speak to the API: <form data-api="POST /api/v1/…" data-next="/…">. Fields go as one JSON object by their
// names; data-as="number|boolean|list" on a field says what its text means, an empty optional field is left out.
// data-confirm asks first. data-next: where to go after success ("" stays and tells data-done; "." loads again), with
// {id} of the answer; data-clear empties the form. {name} in the path is a field's value, which then stays out of the
// body. A field with data-faults="code code" is marked where the API refuses with one of these codes.

import { markFault, unmark } from "./faults";
import { ask, hasEnded, type Problem, Refused, text } from "./send";

export function valuesOf(form: HTMLFormElement): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  for (const field of form.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement)) continue;
    if (!field.name || field.disabled) continue;
    if (field instanceof HTMLInputElement && field.type === "radio" && !field.checked) continue;
    const kind = field.dataset["as"] ?? "";
    if (field instanceof HTMLInputElement && field.type === "checkbox") {
      if (kind === "list") {
        const list = (made[field.name] ??= []) as string[];
        if (field.checked) list.push(field.value);
      } else made[field.name] = field.checked;
      continue;
    }
    if (field.value === "" && !field.required && field.dataset["empty"] !== "keep") continue;
    if (kind === "number") made[field.name] = Number(field.value);
    else if (kind === "boolean") made[field.name] = field.value === "true";
    else if (kind === "null" && field.value === "") made[field.name] = null;
    else made[field.name] = field.value;
  }
  return made;
}

export function say(form: ParentNode, words: string, kind: "good" | "bad" | "" = ""): void {
  let place = form.querySelector<HTMLElement>(".said");
  if (!place) {
    place = document.createElement("p");
    place.className = "said";
    place.setAttribute("role", "status");
    form.append(place);
  }
  place.className = `said ${kind}`.trim();
  place.textContent = words;
  place.hidden = words === "";
}

/** Tells a refusal; where the session has ended, with the way to another one that loses nothing. */
export function sayProblem(form: ParentNode, problem: Problem): void {
  if (!hasEnded(problem)) return say(form, text(problem.detail), "bad");
  say(form, text("Your session has ended. What you typed is still here: log in again, then send it once more."), "bad");
  const link = document.createElement("a");
  link.href = "/login?why=again";
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = text("Log in in another tab");
  form.querySelector(".said")?.append(" ", link);
}

async function submitted(form: HTMLFormElement, by: HTMLElement | null): Promise<void> {
  const [method = "POST", path = ""] = (by?.dataset["api"] ?? form.dataset["api"] ?? "").split(" ");
  const asked = by?.dataset["confirm"] ?? form.dataset["confirm"];
  if (asked && !window.confirm(asked)) return;
  const buttons = [...form.querySelectorAll<HTMLButtonElement>("button")];
  const focused = document.activeElement;
  const body = method === "GET" || method === "DELETE" ? undefined : valuesOf(form);
  const place = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(body?.[name] ?? "");
    delete body?.[name];
    return encodeURIComponent(value);
  });
  for (const one of buttons) one.disabled = true;
  unmark(form);
  say(form, text("Sent; please wait."));
  const headers: Record<string, string> = {};
  if (form.dataset["match"]) headers["If-Match"] = form.dataset["match"];
  try {
    const found = await ask<{ id?: string } | undefined>(method, place, body, headers);
    const heard = new CustomEvent("answered", { detail: found, bubbles: true, cancelable: true });
    delete form.dataset["unsent"];
    if (!form.dispatchEvent(heard)) return; // a page's own script goes on from here
    if (form.dataset["clear"] !== undefined) form.reset();
    const next = (form.dataset["next"] ?? ".").replace("{id}", found?.id ?? "");
    if (next === "") say(form, form.dataset["done"] ?? text("Done."), "good");
    else if (next === ".") location.reload();
    else location.assign(next);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    sayProblem(form, error.problem);
    for (const one of buttons) one.disabled = false;
    if (!markFault(form, error.problem) && focused instanceof HTMLElement) focused.focus();
  } finally {
    for (const one of buttons) one.disabled = false;
  }
}

/** Words that were typed into a form with `data-guard` and not sent are not left without a question. */
function armGuard(): void {
  document.addEventListener("input", (event) => {
    const form = (event.target as HTMLInputElement).form;
    if (form?.dataset["guard"] !== undefined) form.dataset["unsent"] = "";
  });
  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-unsent]")) event.preventDefault();
  });
}

export function armForms(): void {
  armGuard();
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.dataset["api"]) return;
    event.preventDefault();
    void submitted(form, event.submitter);
  });
}
