// What draws the picture: the service (pictures.ts), the page itself (slices.ts), or for three planes NiiVue (planes.ts).

import type { Plane, Point, Scan, State } from "./data";

export interface Hit { point: Point; plane: Plane }

export interface Stage {
  readonly kind: "pictures" | "slices" | "planes";
  /** Draw as soon as may be; the last state that was given counts. */
  draw(state: State, scan: Scan): void;
  /** What lies under a place of the stage, in CSS pixels from its upper left corner. */
  hit(x: number, y: number): Hit | null;
  /** Where a point is drawn in its plane's picture. */
  place(point: Point, plane: Plane): [number, number] | null;
  /** Sides of the whole volume in mm. */
  size(scan: Scan): Point;
  /** How many slices there are along each axis. */
  counts(scan: Scan): Point;
  /** The scan's value at a point, where it is known here. */
  value(point: Point): number | null;
}

/** The two axes of a plane's picture: across and down. */
export function axes(plane: Plane): [Plane, Plane] {
  return plane === 2 ? [0, 1] : plane === 1 ? [0, 2] : [1, 2];
}
