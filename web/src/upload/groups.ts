// From files to cases: all of them one, or one for each folder, zip file or single file.

import { isZip, type Item } from "./items";

export interface Group {
  name: string; // of the folder or file that it came of, "" where there is none
  base: string; // the folder that its files lie in, with a slash at its end, or ""
  items: Item[];
}

export type Grouping = "one" | "each";

const SCANS = /^(ct|cta|ctp|mri?|t1c?|t2|flair|dwi|adc|swi|pet)$/;

/** What is most likely meant: several folders or zip files are several cases, a heap of files is one. */
export function guess(items: Item[]): Grouping {
  const tops = new Set(items.filter((one) => one.path.includes("/") || isZip(one)).map((one) => one.path.split("/")[0]));
  return tops.size > 1 || (tops.size === 1 && below(items).length > 1) ? "each" : "one";
}

export function grouped(items: Item[], grouping: Grouping): Group[] {
  if (!items.length) return [];
  if (grouping === "each") return below(items);
  const base = common(items);
  const name = base ? base.slice(0, base.indexOf("/")) : items.length === 1 ? items[0]!.path : "";
  return [{ name, base, items }];
}

/** The cases that the folders of a group are, where it has several. */
export function split(group: Group): Group[] {
  return byNext(group.items, common(group.items));
}

/** A patient's key out of a file's or folder's name: without endings and what nobody can see, at most so long. */
export function keyOf(name: string, longest: number): string {
  const plain = name
    .replace(/\.(nii\.gz|tar\.gz|[A-Za-z][A-Za-z0-9]{0,4})$/i, "")
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .trim();
  return [...plain].slice(0, longest).join("");
}

function below(items: Item[]): Group[] {
  return byNext(items, "").flatMap(opened);
}

/** The cases in a folder: itself where it holds files or the scans of one patient, else each of its folders. */
function opened(group: Group): Group[] {
  if (!group.base) return [group]; // a file by itself
  const rests = group.items.map((one) => one.path.slice(group.base.length));
  const folders = new Set(rests.filter((rest) => rest.includes("/")).map((rest) => rest.split("/")[0]!));
  const files = rests.some((rest) => !rest.includes("/") && !/\.zip$/i.test(rest));
  if (files || ofOnePatient([...folders])) return [group];
  const inner = byNext(group.items, group.base);
  if (inner.length > 1) return inner;
  const deeper = opened(inner[0]!);
  return deeper.length > 1 ? deeper : [group];
}

/** Whether each folder is named after another kind of scan (`ct`, `MR_t1`): scans of one patient, and not patients. */
function ofOnePatient(folders: string[]): boolean {
  const kinds = folders.map((name) => name.toLowerCase().split(/[^a-z0-9]+/).filter((word) => SCANS.test(word)).join(" "));
  return folders.length > 0 && !kinds.includes("") && new Set(kinds).size === folders.length;
}

function byNext(items: Item[], base: string): Group[] {
  const found = new Map<string, Group>();
  for (const item of items) {
    const rest = item.path.slice(base.length);
    const next = rest.includes("/") ? rest.slice(0, rest.indexOf("/") + 1) : "";
    const group = found.get(next || rest);
    if (group) group.items.push(item);
    else found.set(next || rest, { name: next ? next.slice(0, -1) : rest, base: next ? base + next : "", items: [item] });
  }
  return [...found.values()];
}

/** The folder that all items lie in, "" where there is none. */
function common(items: Item[]): string {
  let base = items[0]!.path.slice(0, items[0]!.path.lastIndexOf("/") + 1);
  while (base && items.some((one) => !one.path.startsWith(base))) base = base.slice(0, base.lastIndexOf("/", base.length - 2) + 1);
  return base;
}
