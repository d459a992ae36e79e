// What is drawn over the picture: letters of the patient's sides, and what was measured.

import { numberOf, type Plane, type Point, type Scan, type State } from "./data";
import type { Measured } from "./measure";
import { axes, type Stage } from "./stage";

const SVG = "http://www.w3.org/2000/svg";
const ENDS: [string, string][] = [["R", "L"], ["A", "P"], ["I", "S"]]; // of each axis, where its share is 0 and 1
const MARGIN = 16; // CSS pixels

export interface Frame { plane: Plane; left: number; top: number; width: number; height: number }

export function drawMarks(svg: SVGSVGElement, frames: Frame[], stage: Stage, state: State, scan: Scan, measured: Measured[]): void {
  const made: SVGElement[] = [];
  if (frames.length > 1) for (const frame of frames) made.push(...cross(frame, stage, state));
  if (scan.sided) for (const frame of frames) made.push(...letters(frame, stage, scan));
  const counts = stage.counts(scan);
  for (const one of measured) {
    if (one.scan !== scan.name || one.number !== numberOf(state.at[one.plane], counts[one.plane])) continue;
    const [from, to] = [stage.place(one.from, one.plane), stage.place(one.to, one.plane)];
    if (from && to) made.push(...ruler(from, to, one.said));
  }
  const drawn = made.map((one) => one.outerHTML).join("");
  if (drawn === svg.dataset["drawn"]) return; // painting letters anew for every slice would slow scrolling down
  svg.dataset["drawn"] = drawn;
  svg.replaceChildren(...made);
}

/** Letters at the four edges, by where the drawing itself puts the ends of each axis. */
function letters(frame: Frame, stage: Stage, scan: Scan): SVGElement[] {
  const [across, down] = axes(frame.plane);
  const [left, right] = scan.axial ? ends(stage, frame.plane, across, 0) : [scan.edges[0]!, scan.edges[1]!];
  const [top, bottom] = scan.axial ? ends(stage, frame.plane, down, 1) : [scan.edges[2]!, scan.edges[3]!];
  const [x, y] = [frame.left + frame.width / 2, frame.top + frame.height / 2];
  return [
    letter(left, "left", frame.left + MARGIN, y),
    letter(right, "right", frame.left + frame.width - MARGIN, y),
    letter(top, "top", x, frame.top + MARGIN),
    letter(bottom, "bottom", x, frame.top + frame.height - MARGIN),
  ];
}

function ends(stage: Stage, plane: Plane, axis: Plane, coordinate: 0 | 1): [string, string] {
  const at = (share: number): number => {
    const point: Point = [0.5, 0.5, 0.5];
    point[axis] = share;
    return stage.place(point, plane)?.[coordinate] ?? 0;
  };
  const [low, high] = ENDS[axis]!;
  return at(0) <= at(1) ? [low, high] : [high, low];
}

function letter(words: string, edge: string, x: number, y: number): SVGElement {
  const made = node("text", { x, y, class: "letter", "data-edge": edge, "text-anchor": "middle", "dominant-baseline": "central" });
  made.textContent = words;
  return made;
}

/** Where the other planes cut this one. */
function cross(frame: Frame, stage: Stage, state: State): SVGElement[] {
  const at = stage.place(state.at, frame.plane);
  if (!at) return [];
  const [x, y] = at;
  const [right, bottom] = [frame.left + frame.width, frame.top + frame.height];
  const made: SVGElement[] = [];
  if (x >= frame.left && x <= right) made.push(node("line", { x1: x, y1: frame.top, x2: x, y2: bottom, class: "cross" }));
  if (y >= frame.top && y <= bottom) made.push(node("line", { x1: frame.left, y1: y, x2: right, y2: y, class: "cross" }));
  return made;
}

function ruler(from: [number, number], to: [number, number], said: string): SVGElement[] {
  const line = node("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
  const dots = [from, to].map(([cx, cy]) => node("circle", { cx, cy, r: 4 }));
  const words = node("text", { x: Math.max(from[0], to[0]) + 8, y: from[0] > to[0] ? from[1] : to[1], class: "length" });
  words.textContent = said;
  return [line, ...dots, words];
}

function node(name: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
