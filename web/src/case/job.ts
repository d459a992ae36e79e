// Predictions: asking for one, and how far it is, as it happens; once it has ended the page shows what came of it.

import { say, sayProblem, valuesOf } from "../forms";
import { follow } from "../job";
import { Refused, send, text } from "../send";

/** Where the answer of a job is shown: at the study, whichever answer was looked at before. */
function again(): void {
  location.assign(location.pathname);
}

export function followJob(): void {
  const box = document.getElementById("case-job");
  const id = box?.dataset["job"];
  if (!box || !id) return;
  const step = box.querySelector("[data-step]")!;
  const bar = box.querySelector("progress")!;
  follow(id, {
    progress: (job) => {
      bar.value = job.progress;
      step.textContent = text(job.step || "waiting for its turn");
    },
    end: () => {
      step.textContent = text("The answer is there; loading it.");
      bar.value = 1;
      again();
    },
    again: () => {
      step.textContent = text("The connection to the service was lost; it is tried again.");
    },
    lost: () => {
      step.textContent = text("How far it is cannot be seen any more; load this page again.");
    },
  });
}

export function armPredict(): void {
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-predict]"))
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void asked(form);
    });
}

async function asked(form: HTMLFormElement): Promise<void> {
  const { series, ...body } = valuesOf(form);
  const role = form.dataset["role"];
  if (role && series) body["series"] = { [role]: Number(series) };
  say(form, text("Sent; please wait."));
  try {
    await send("POST", form.dataset["predict"]!, body);
    again();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    sayProblem(form, error.problem);
  }
}
