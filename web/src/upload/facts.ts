// What the page knows of the service: how much it takes, and the inputs of its models.

import type { Item } from "./items";

export interface Facts {
  most_bytes: number;
  most_files: number;
  longest_key: number;
  sorted: string; // the name under which the service keeps files that it tells apart by their headers
  roles: { role: string; modality: string }[];
}

export function facts(): Facts {
  return JSON.parse(document.getElementById("upload-facts")!.textContent!) as Facts;
}

export const totalOf = (items: Item[]): number => items.reduce((sum, one) => sum + one.file.size, 0);

/** Bytes as the pages write them: 512 B, 3.4 MB (powers of 1000). */
export function sizeOf(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}
