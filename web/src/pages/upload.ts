// The page by which scans come: what is chosen becomes cases, and these are sent one after the other.

import { hasEnded, Refused, text } from "../send";
import { Case, type Wish } from "../upload/case";
import { facts as read, sizeOf, totalOf } from "../upload/facts";
import { type Grouping, type Group, grouped, guess, keyOf, split } from "../upload/groups";
import { type Gathered, type Item, MOST, ofDrop, ofInput } from "../upload/items";
import { type FileProblem, Stopped, type Transfer, transfer } from "../upload/transfer";
import { predict } from "../upload/watch";

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const rules = byId<HTMLFormElement>("rules");
const list = byId<HTMLOListElement>("cases");
let cases: Case[] = [];
let last = 0;
let running: { one: Case; transfer: Transfer } | undefined;
let chosenByHand = false;

if (rules) arm();

function arm(): void {
  const drop = byId("drop");
  const inputs = { files: byId<HTMLInputElement>("files"), folder: byId<HTMLInputElement>("folder") };
  for (const [name, input] of Object.entries(inputs)) {
    byId(`pick-${name}`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      take(ofInput(input.files!));
      input.value = ""; // the same choice may come again
    });
  }
  const over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  };
  document.addEventListener("dragover", over); // anywhere: what misses the box must not open in the browser
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.remove("over");
    const looking = (count: number): void => tell(text("Looking through what you chose: %(count)s files so far.", { count }));
    looking(0);
    void ofDrop(event.dataTransfer, looking).then(take);
  });
  for (const one of rules.querySelectorAll<HTMLInputElement>('[name="grouping"]'))
    one.addEventListener("change", () => {
      chosenByHand = true;
      regroup(open().flatMap((each) => each.items));
    });
  rules.addEventListener("submit", (event) => event.preventDefault());
  rules.querySelector("select")!.addEventListener("change", (event) => {
    const select = event.target as HTMLSelectElement;
    if (select.getAttribute("aria-invalid")) tell("");
    select.removeAttribute("aria-invalid");
  });
  byId("send").addEventListener("click", () => queue(open()));
  byId("stop").addEventListener("click", stopAll);
  window.addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });
}

const open = (): Case[] => cases.filter((one) => one.state === "waiting" || one.state === "failed");
const grouping = (): Grouping => new FormData(rules).get("grouping") as Grouping;

function take(found: Gathered): void {
  const known = new Set(open().flatMap((one) => one.items).map(mark));
  const fresh = found.items.filter((one) => !known.has(mark(one)));
  const here = found.items.length - fresh.length;
  fresh.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true })); // folders are read in any order
  const said = [];
  if (fresh.length === 1) said.push(text("1 file was added."));
  else if (fresh.length) said.push(text("%(count)s files were added.", { count: fresh.length }));
  else if (!here) said.push(text("No file was found in it."));
  if (here) said.push(text("Not added again, since they are here already: %(count)s.", { count: here }));
  if (found.junk) said.push(text("Left out, as systems leave them in folders (such as .DS_Store): %(count)s.", { count: found.junk }));
  if (found.cut) said.push(text("More than %(count)s files were found, and the rest was not taken; choose fewer folders at a time.", { count: MOST }));
  if (found.unreadable.length) said.push(text("A folder could not be read and was passed over: %(name)s", { name: found.unreadable.slice(0, 3).join(", ") }));
  tell(said.join(" "), found.cut || found.unreadable.length > 0);
  if (!fresh.length) return;
  if (!chosenByHand && !open().length) rules.querySelector<HTMLInputElement>(`[name="grouping"][value="${guess(fresh)}"]`)!.checked = true;
  if (grouping() === "one") regroup([...open().flatMap((one) => one.items), ...fresh]);
  else add(grouped(fresh, "each"));
}

const mark = (item: Item): string => `${item.path}\n${item.file.size}\n${item.file.lastModified}`;

function regroup(items: Item[]): void {
  for (const one of open()) remove(one);
  add(grouped(items, grouping()));
}

function add(groups: Group[], before?: Case): void {
  const facts = read();
  const made = groups.map((group) => {
    const one: Case = new Case(++last, group, keyOf(group.name, facts.longest_key), facts, (wish) => follow(one, wish), totals);
    return one;
  });
  cases.push(...made);
  for (const one of made) {
    if (before) before.root.before(one.root);
    else list.append(one.root);
  }
  totals();
}

function remove(one: Case): void {
  cases = cases.filter((other) => other !== one);
  one.root.remove();
}

function follow(one: Case, wish: Wish): void {
  if (wish === "send") return queue([one]);
  if (wish === "stop") return stop(one);
  const beside = cases[cases.indexOf(one) + 1];
  if (wish === "split") add(split(one.group), one);
  remove(one);
  totals();
  if (beside) beside.focus();
  else byId("pick-files").focus();
}

function queue(some: Case[]): void {
  const project = rules.querySelector<HTMLSelectElement>('[name="project"]')!;
  if (!project.value) {
    project.setAttribute("aria-invalid", "true");
    tell(text("Choose a project."), true);
    return project.focus();
  }
  const wrong = some.filter((one) => one.refuses());
  for (const one of some) {
    if (wrong.includes(one)) continue;
    one.set("queued");
    one.say(text("waiting for its turn"), "");
  }
  wrong[0]?.focus();
  void work();
}

async function work(): Promise<void> {
  if (running) return;
  for (let one = next(); one; one = next()) await send(one);
  totals();
}

const next = (): Case | undefined => cases.find((one) => one.state === "queued");

async function send(one: Case): Promise<void> {
  const values = new FormData(rules);
  const project = String(values.get("project"));
  const key = one.once(project);
  running = { one, transfer: transfer(one.form(project), key, (share) => one.sent(share)) };
  one.begin();
  try {
    const study = await running.transfer.done;
    one.kept(study.id);
    news(one, text("kept"));
    if (values.get("predict"))
      void predict(study.id, String(values.get("model") ?? ""), `${key}-predict`, (words, kind) => {
        one.say(words, kind);
        if (kind) news(one, words);
      });
  } catch (error) {
    if (error instanceof Stopped) one.failed({ status: 0, code: "stopped", detail: text("Stopped; nothing of it was kept.") });
    else if (error instanceof Refused) refused(one, error.problem);
    else throw error;
  } finally {
    running = undefined;
    totals();
  }
}

function refused(one: Case, problem: FileProblem): void {
  const item = problem.role === undefined ? undefined : one.blamed(problem.role, problem.file ?? 0);
  one.failed(problem, item);
  news(one, problem.detail);
  if (hasEnded(problem)) for (const other of cases.filter((each) => each.state === "queued")) stop(other); // till somebody is in again
}

function stop(one: Case): void {
  if (running?.one === one) return running.transfer.stop();
  one.say("", "");
  one.set("waiting");
}

function stopAll(): void {
  for (const one of cases.filter((each) => each.state === "queued")) stop(one);
  running?.transfer.stop();
  byId("send").focus();
}

function totals(): void {
  const some = open();
  const items = some.flatMap((one) => one.items);
  byId("none").hidden = cases.length > 0;
  byId("bar").hidden = cases.length === 0;
  const values = { cases: some.length, files: items.length, size: sizeOf(totalOf(items)) };
  const many = some.length === 1 ? "1 case, %(files)s files, %(size)s" : "%(cases)s cases, %(files)s files, %(size)s";
  byId("totals").textContent = some.length ? text(many, values) : "";
  const button = byId<HTMLButtonElement>("send");
  button.disabled = !some.length;
  button.textContent = text(some.length === 0 ? "Nothing to send" : some.length === 1 ? "Send 1 case" : "Send %(count)s cases", { count: some.length });
  byId("stop").hidden = !running && !next();
}

function tell(words: string, bad = false): void {
  const place = byId("gathered");
  place.className = bad ? "said bad" : "said";
  place.textContent = words;
  place.hidden = words === "";
}

/** For those who hear the page: what became of a case, and not each of its steps. */
function news(one: Case, said: string): void {
  byId("news").textContent = text("Case %(number)s (%(key)s): %(said)s", { number: one.number, key: one.key, said });
}
