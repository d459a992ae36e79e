// What the server tells the viewer (web/viewer_data.py), and where a reader is.

export type Point = [number, number, number]; // shares of the volume, 0 to 1, towards the patient's left, back and head
export type Plane = 0 | 1 | 2; // the axis that a picture is seen along: sagittal, coronal, axial
export type Layout = "axial" | "planes";
export type Tool = "pan" | "zoom" | "window" | "measure";

export interface WindowChoice { key: number; name: string; centre: number; width: number }
export interface ClassHeat { name: string; said: string; probability: number | null; volume: string; top: number; slices: number[] }
export interface Heat { role: string; classes: ClassHeat[]; weights: Record<string, number>; placed: boolean }
export interface Scan {
  name: string;
  title: string;
  modality: string;
  units: string;
  slices: number;
  start: number;
  spacing: Point;
  colour: boolean;
  sided: boolean;
  sized: boolean;
  edges: string[];
  axial: boolean;
  warnings: string[];
  fault: string;
  volume: string;
  picture: string;
  windows: WindowChoice[];
  heat: Heat | null;
}
export interface ViewerData { study: string; prediction: string; scans: Scan[]; first: number; colours: string[]; unit: string }

export interface State {
  scan: number;
  at: Point; // what is looked at: a slice's middle along each axis
  window: { name: string; centre: number; width: number } | null; // null: the picture's own colours
  heat: { on: boolean; name: string; opacity: number; above: number };
  layout: Layout;
  tool: Tool;
  middle: Point; // what lies in the middle of the picture
  zoom: number;
}

export function numberOf(share: number, count: number): number {
  return Math.min(count, Math.max(1, Math.floor(share * count) + 1));
}

export function shareOf(number: number, count: number): number {
  return (number - 0.5) / count;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** The heat that a state shows; none where it is off, or the scan has none that can be laid over it. */
export function heatShown(state: State, scan: Scan): ClassHeat | null {
  if (!state.heat.on || !scan.heat?.placed) return null;
  return scan.heat.classes.find((one) => one.name === state.heat.name) ?? null;
}

/** The address of a slice's picture, with window and heat. */
export function pictureOf(data: ViewerData, scan: Scan, state: State, number: number, least = 0): string {
  const asked = new URLSearchParams();
  const first = scan.windows[0];
  if (state.window && first && (state.window.centre !== first.centre || state.window.width !== first.width)) {
    asked.set("centre", String(state.window.centre));
    asked.set("width", String(state.window.width));
  }
  const heat = least ? null : heatShown(state, scan);
  if (heat) {
    asked.set("prediction", data.prediction);
    asked.set("class", heat.name);
    asked.set("opacity", String(state.heat.opacity));
    asked.set("above", String(state.heat.above));
  }
  if (least) asked.set("least", String(least));
  const query = asked.toString();
  return scan.picture.replace("{number}", String(number)) + (query ? `?${query}` : "");
}
