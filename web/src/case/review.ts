// The form of a review: which labels can be given follows from the question, and whether one is given from the verdict.

import { text } from "../send";

export function armReview(): void {
  const form = document.getElementById("case-review-form");
  if (!(form instanceof HTMLFormElement)) return;
  const hidden = form.querySelector<HTMLInputElement>('input[name="label"]')!;
  const agree = form.querySelector<HTMLElement>("[data-agree]");

  function update(): void {
    const question = String(new FormData(form as HTMLFormElement).get("target") ?? "");
    const own = !agree || agree.dataset["agree"] === question;
    if (agree) {
      agree.hidden = !own;
      const radio = agree.querySelector("input")!;
      radio.disabled = !own;
      if (!own) radio.checked = false;
    }
    const labels = new FormData(form as HTMLFormElement).get("verdict") === "override";
    const parts = [...form!.querySelectorAll<HTMLElement>("[data-label-of]")];
    const wanted = parts.find((one) => one.dataset["labelOf"] === question) ?? parts.find((one) => one.dataset["labelOf"] === "");
    for (const one of parts) {
      one.hidden = one !== wanted || !labels;
      for (const field of one.querySelectorAll<HTMLInputElement | HTMLSelectElement>('select, input[type="text"]')) field.required = !one.hidden;
    }
    const boxes = [...(wanted?.querySelectorAll<HTMLInputElement>('input[type="checkbox"]') ?? [])];
    const missing = labels && boxes.length > 0 && !boxes.some((one) => one.checked);
    boxes[0]?.setCustomValidity(missing ? text("Tick what is there, or that it is none of these.") : "");
    hidden.disabled = !labels || !wanted;
    if (wanted) hidden.value = labelOf(wanted);
  }

  // "none" and a finding cannot both be
  form.addEventListener("change", (event) => {
    const box = event.target as HTMLInputElement;
    if (box.type !== "checkbox" || !box.checked) return;
    for (const other of box.closest("fieldset")!.querySelectorAll<HTMLInputElement>('input[type="checkbox"]'))
      if (other !== box && box.dataset["none"] === undefined && other.value === box.closest("fieldset")!.dataset["implied"]) other.checked = true;
      else if (other !== box && (box.dataset["none"] !== undefined || other.dataset["none"] !== undefined)) other.checked = false;
  });
  form.addEventListener("input", update);
  form.addEventListener("change", update);
  update();
}

function labelOf(part: HTMLElement): string {
  const single = part.querySelector<HTMLInputElement | HTMLSelectElement>('select, input[type="text"]');
  if (single) return single.value;
  const ticked = [...part.querySelectorAll<HTMLInputElement>('input[type="checkbox"]:checked')].map((one) => one.value);
  return ticked.join(";");
}
