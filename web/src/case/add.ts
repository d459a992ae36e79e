// Scans of a further modality, sent with their progress; the service looks at all of them before it keeps any.

import { say, sayProblem } from "../forms";
import { isOnePerson } from "../person";
import { csrf, readProblem, text } from "../send";

export function armAdd(): void {
  const form = document.getElementById("case-add");
  if (!(form instanceof HTMLFormElement)) return;
  const files = form.querySelector<HTMLInputElement>('input[type="file"]')!;
  const role = form.querySelector("select")!;
  const bar = form.querySelector("progress")!;
  const button = form.querySelector("button")!;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin("");
  });

  function begin(query: string): void {
    if (!files.files?.length) return say(form as HTMLFormElement, text("No files are chosen; choose some first."), "bad");
    const sent = new FormData();
    for (const one of files.files) sent.append(role.value, one, one.name);
    const request = new XMLHttpRequest(); // fetch tells no progress of what is sent
    request.open("POST", form!.dataset["path"]! + query);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF-Token", csrf());
    request.upload.addEventListener("progress", (news) => {
      bar.value = news.lengthComputable ? news.loaded / news.total : 0;
      say(form as HTMLFormElement, text("%(percent)s% sent", { percent: Math.floor(100 * bar.value) }));
    });
    request.upload.addEventListener("load", () => say(form as HTMLFormElement, text("Read by the service; please wait.")));
    request.addEventListener("load", () => {
      if (request.status < 300) {
        say(form as HTMLFormElement, text("Sent. Loading the case again."), "good");
        return location.reload();
      }
      const problem = readProblem(request.status, request.responseText);
      if (isOnePerson(problem)) return begin("?same_patient=true");
      sayProblem(form as HTMLFormElement, problem);
      ended();
    });
    request.addEventListener("error", () => {
      say(form as HTMLFormElement, text("The transfer broke off. Try again; nothing of it was kept."), "bad");
      ended();
    });
    bar.hidden = false;
    button.disabled = true;
    request.send(sent);
  }

  function ended(): void {
    bar.hidden = true;
    button.disabled = false;
    button.focus();
  }
}
