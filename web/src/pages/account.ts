// The own account: a key that was just made is shown once, until its owner has kept it.

import { copyFrom } from "../copy";
import { text } from "../send";

const form = document.querySelector<HTMLFormElement>("[data-key-form]");
const shown = document.querySelector<HTMLElement>("[data-shown]");
const field = shown?.querySelector<HTMLInputElement>("[data-key]");

function leaving(event: BeforeUnloadEvent): void {
  event.preventDefault(); // the browser asks before the key is gone
}

// of several boxes at least one: HTML has no rule for that
function checkBoxes(boxes: HTMLInputElement[]): void {
  const none = boxes.every((one) => !one.checked);
  boxes[0]?.setCustomValidity(none ? text("Choose at least one thing that the key may do.") : "");
}

if (form && shown && field) {
  form.addEventListener("answered", (event) => {
    event.preventDefault();
    field.value = ((event as CustomEvent).detail as { key: string }).key;
    form.reset();
    form.closest("details")?.removeAttribute("open");
    for (const one of form.querySelectorAll<HTMLElement>(".said")) one.hidden = true;
    shown.hidden = false;
    shown.focus();
    window.addEventListener("beforeunload", leaving);
  });
  const boxes = [...form.querySelectorAll<HTMLInputElement>("[name='scopes']")];
  form.addEventListener("change", () => checkBoxes(boxes));
  form.addEventListener("reset", () => boxes[0]?.setCustomValidity(text("Choose at least one thing that the key may do.")));
  checkBoxes(boxes);
  shown.querySelector("[data-copy]")?.addEventListener("click", () => void copyFrom(field, shown));
  shown.querySelector("[data-kept]")?.addEventListener("click", () => {
    window.removeEventListener("beforeunload", leaving);
    location.reload();
  });
}
