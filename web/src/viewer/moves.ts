// Going through the slices, moving and zooming the picture.

import { clamp, numberOf, type Plane, type Point, type Scan, type State, shareOf } from "./data";
import { axes, type Hit } from "./stage";
import type { Store } from "./store";

const LEAST_ZOOM = 0.5;
const MOST_ZOOM = 16;

export function goTo(store: Store, plane: Plane, number: number, count: number): void {
  const at = [...store.now.at] as Point;
  const share = shareOf(clamp(number, 1, count), count);
  if (at[plane] === share) return;
  at[plane] = share;
  store.set({ at });
}

export function step(store: Store, plane: Plane, by: number, count: number): void {
  goTo(store, plane, numberOf(store.now.at[plane], count) + by, count);
}

/** The next of the slices that mattered most, in the order of their rank. */
export function nextOfMost(store: Store, scan: Scan): void {
  const most = mostOf(scan, store.now.heat.name).map((one) => one.number);
  if (!most.length) return;
  const at = most.indexOf(numberOf(store.now.at[2], scan.slices));
  goTo(store, 2, most[(at + 1) % most.length]!, scan.slices);
}

/** The slices that mattered most: with most heat of a class, or else with most weight in the answer. */
export function mostOf(scan: Scan, name: string): { number: number; rank: number; by: "heat" | "weight"; share?: number }[] {
  const heat = scan.heat;
  if (!heat?.placed) return [];
  const slices = heat.classes.find((one) => one.name === name)?.slices ?? [];
  if (slices.length) return slices.map((number, index) => ({ number, rank: index + 1, by: "heat" }));
  const weights = Object.entries(heat.weights).map(([number, share]) => ({ number: Number(number), share }));
  if (new Set(weights.map((one) => one.share)).size < 2) return [];
  weights.sort((one, other) => other.share - one.share);
  return weights.slice(0, 5).map((one, index) => ({ ...one, rank: index + 1, by: "weight" }));
}

export function zoomAt(store: Store, factor: number, hit: Hit | null): void {
  const { zoom, middle } = store.now;
  const wanted = clamp(zoom * factor, LEAST_ZOOM, MOST_ZOOM);
  const moved = [...middle] as Point;
  for (const axis of hit ? axes(hit.plane) : []) moved[axis] = hit!.point[axis] + ((middle[axis] - hit!.point[axis]) * zoom) / wanted;
  store.set({ zoom: wanted, middle: within(moved) });
}

/** Move the picture so that what was under the pointer at first is under it again. */
export function panBy(store: Store, start: Point, plane: Plane, across: number, down: number): void {
  const moved = [...start] as Point;
  const [a, b] = axes(plane);
  moved[a] = start[a] + across;
  moved[b] = start[b] + down;
  store.set({ middle: within(moved) });
}

function within(point: Point): Point {
  return point.map((one) => clamp(one, -0.25, 1.25)) as Point;
}

export function firstLook(scan: Scan): Pick<State, "at" | "middle" | "zoom"> {
  return { at: [0.5, 0.5, shareOf(scan.start, Math.max(1, scan.slices))], middle: [0.5, 0.5, 0.5], zoom: 1 };
}
