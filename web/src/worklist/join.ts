// Several studies of one patient become one case: the oldest keeps its place and gets the files of the others.

import { say, sayProblem } from "../forms";
import { isOnePerson } from "../person";
import { ask, Refused, text } from "../send";

export function armJoin(): void {
  const form = document.getElementById("chosen") as HTMLFormElement | null;
  if (!form) return;
  const button = form.querySelector<HTMLButtonElement>("button.main")!;
  const chosen = (): HTMLInputElement[] => [...document.querySelectorAll<HTMLInputElement>("tbody input[name=study]:checked")];

  const show = (): void => {
    const some = chosen();
    const patients = new Set(some.map((one) => one.closest("tr")!.dataset["patient"]));
    form.hidden = some.length === 0;
    button.disabled = some.length < 2 || patients.size > 1;
    const count = some.length;
    if (count === 1) say(form, text("1 study selected. Select another one of the same patient to join them."));
    else if (patients.size > 1) say(form, text("%(count)s studies of several patients selected. Only studies of one patient can be one case.", { count }), "bad");
    else if (count) say(form, text("%(count)s studies of one patient selected.", { count }));
  };

  document.querySelector("tbody")?.addEventListener("change", show);
  document.getElementById("none")!.addEventListener("click", () => {
    for (const one of chosen()) one.checked = false;
    show();
    document.querySelector<HTMLElement>("[data-row]")?.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.disabled = true;
    const studies = chosen().map((one) => one.value).reverse(); // the list has the newest first
    const join = (query = ""): Promise<unknown> => ask("POST", `/api/v1/studies/join${query}`, { studies });
    const asked = join().catch((error: unknown) => {
      if (!(error instanceof Refused) || !isOnePerson(error.problem)) throw error;
      return join("?same_patient=true");
    });
    asked.then(
      () => {
        say(form, text("The studies are one case now."), "good");
        location.reload();
      },
      (error: unknown) => {
        if (!(error instanceof Refused)) throw error;
        sayProblem(form, error.problem);
        button.disabled = false;
      },
    );
  });
  show(); // a browser that comes back to the page has boxes checked
}
