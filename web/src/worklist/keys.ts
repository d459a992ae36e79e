// Keys of the worklist: j and k or the arrows along the rows, x to choose one, / to search, ? for help. Single letters
// can be switched off in the help (WCAG 2.2, 2.1.4); arrows, Enter and Tab are there all the same.

const OFF = "insula-letters-off";

export function armKeys(): void {
  const help = document.getElementById("keys") as HTMLDialogElement;
  const on = document.getElementById("keys-on") as HTMLInputElement;
  on.checked = localStorage.getItem(OFF) === null;
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
  document.getElementById("keys-open")!.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open || writes(event.target)) return;
    if (event.key.length === 1 && !on.checked) return;
    if (!pressed(event, help)) return;
    event.preventDefault();
  });
}

function pressed(event: KeyboardEvent, help: HTMLDialogElement): boolean {
  const row = (event.target as HTMLElement).closest("tr");
  const arrow = event.key.startsWith("Arrow");
  if (arrow && !row) return false; // the page scrolls
  switch (event.key) {
    case "j":
    case "ArrowDown":
      return move(1);
    case "k":
    case "ArrowUp":
      return move(-1);
    case "x":
      row?.querySelector<HTMLInputElement>("input[name=study]")?.click();
      return row !== null;
    case "/":
      document.querySelector<HTMLInputElement>("input[type=search]")!.focus();
      return true;
    case "?":
      help.showModal();
      return true;
    default:
      return false;
  }
}

function move(by: number): boolean {
  const links = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = links.findIndex((one) => one.closest("tr")!.contains(document.activeElement));
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)];
  next?.focus();
  return next !== undefined;
}

function writes(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return target.type !== "checkbox";
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}
