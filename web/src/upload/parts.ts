// Which of a case's folders and files is which input of a model, where the models take several.

import { text } from "../send";
import type { Facts } from "./facts";
import type { Group } from "./groups";
import type { Item } from "./items";

export class Parts {
  private readonly roles = new Map<string, string>();
  readonly count: number;

  constructor(
    private readonly box: HTMLFieldSetElement,
    private readonly group: Group,
    facts: Facts,
  ) {
    const names = [...new Set(group.items.map((one) => this.partOf(one)))];
    this.count = names.length;
    if (!facts.roles.length) return;
    this.box.hidden = false;
    for (const name of names) {
      const select = document.createElement("select");
      select.append(new Option(text("told apart by the headers"), ""));
      for (const { role, modality } of facts.roles) select.append(new Option(text("%(role)s (%(modality)s)", { role, modality }), role));
      select.value = guessed(name, facts);
      this.roles.set(name, select.value);
      select.addEventListener("change", () => this.roles.set(name, select.value));
      const label = document.createElement("label");
      label.append(name || text("files in the case itself"), select);
      this.box.append(label);
    }
  }

  /** The input that a file is for, "" where the headers say it. */
  roleOf(item: Item): string {
    return this.roles.get(this.partOf(item)) ?? "";
  }

  /** The folder of a file within its case; a zip file in a heap is a part by itself. */
  private partOf(item: Item): string {
    const rest = item.path.slice(this.group.base.length);
    if (rest.includes("/")) return rest.slice(0, rest.indexOf("/"));
    return /\.(zip|nii|nii\.gz)$/i.test(rest) ? rest : "";
  }
}

/** An input whose name or modality stands in the name of a folder or file: `ct`, `MR_t1`, `head-ct.zip`. */
function guessed(name: string, { roles }: Facts): string {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  const fits = roles.filter(({ role, modality }) => words.includes(role.toLowerCase()) || words.includes(modality.toLowerCase()));
  return fits.length === 1 ? fits[0]!.role : "";
}
