// The forms of the people: by which way somebody logs in, a password that is suggested, a warning about one's own role.

import { copyFrom } from "../copy";

const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"; // 32, without those that look alike

/** A password of 100 random bits, in groups that can be read out. */
function suggested(): string {
  const drawn = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => LETTERS[byte % LETTERS.length]);
  return [0, 5, 10, 15].map((at) => drawn.slice(at, at + 5).join("")).join("-");
}

function armSuggestion(button: HTMLButtonElement): void {
  const form = button.closest("form");
  const field = form?.querySelector<HTMLInputElement>("[name='password']");
  const copy = form?.querySelector<HTMLButtonElement>("[data-copy]");
  if (!form || !field) return;
  button.addEventListener("click", () => {
    field.type = "text"; // whoever suggests has to pass it on
    field.value = suggested();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (copy) copy.hidden = false;
    field.focus();
    field.select();
  });
  copy?.addEventListener("click", () => void copyFrom(field, form));
  form.addEventListener("reset", () => {
    field.type = "password";
    if (copy) copy.hidden = true;
  });
}

function armWays(choice: HTMLSelectElement): void {
  const show = (): void => {
    const way = choice.value === "" ? "password" : "issuer";
    for (const part of document.querySelectorAll<HTMLElement>("[data-way]")) {
      part.hidden = part.dataset["way"] !== way;
      for (const field of part.querySelectorAll("input")) field.disabled = part.hidden;
    }
  };
  choice.addEventListener("change", show);
  show(); // a browser may have kept the choice over a reload
}

function armWarning(choice: HTMLElement): void {
  const form = choice.closest("form");
  const was = choice.querySelector<HTMLInputElement>("input[checked]")?.value;
  form?.addEventListener("change", () => {
    const now = choice.querySelector<HTMLInputElement>("input:checked")?.value;
    if (now === was) delete form.dataset["confirm"];
    else form.dataset["confirm"] = choice.dataset["warns"] ?? "";
  });
}

for (const one of document.querySelectorAll<HTMLButtonElement>("[data-suggest]")) armSuggestion(one);
for (const one of document.querySelectorAll<HTMLSelectElement>("[data-log-in]")) armWays(one);
for (const one of document.querySelectorAll<HTMLElement>("[data-warns]")) armWarning(one);
