// Mouse, pen, finger and wheel over the picture.

import { numberOf, type Point, type Scan, type State, type Tool } from "./data";
import { measure, type Measured } from "./measure";
import { goTo, panBy, step, zoomAt } from "./moves";
import { axes, type Hit, type Stage } from "./stage";
import type { Store } from "./store";
import { dragged } from "./windows";

const STILL = 3; // CSS pixels within which a press is a click
const LEAST_MM = 0.5;

export interface Hears {
  stage(): Stage;
  scan(): Scan;
  drawing(one: Measured | null): void;
  drawn(one: Measured): void;
  over(hit: Hit | null): void;
}

interface Drag { tool: Tool; x: number; y: number; state: State; hit: Hit | null; moved: boolean }

export function armPointer(box: HTMLElement, store: Store, hears: Hears): void {
  let drag: Drag | null = null;
  const place = (event: MouseEvent): [number, number] => {
    const around = box.getBoundingClientRect();
    return [event.clientX - around.left, event.clientY - around.top];
  };

  box.addEventListener("contextmenu", (event) => event.preventDefault());
  box.addEventListener("pointerdown", (event) => {
    if (event.button > 2 || drag) return;
    const [x, y] = place(event);
    const tool = event.button === 2 ? "window" : event.button === 1 ? "pan" : store.now.tool;
    drag = { tool, x, y, state: store.now, hit: hears.stage().hit(x, y), moved: false };
    box.setPointerCapture(event.pointerId);
    box.focus({ preventScroll: true });
    event.preventDefault();
  });
  box.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) return hears.over(hears.stage().hit(x, y));
    drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > STILL;
    if (drag.moved) move(drag, x, y);
  });
  const ended = (event: PointerEvent): void => {
    const done = drag;
    drag = null;
    hears.drawing(null);
    if (!done) return;
    const [x, y] = place(event);
    if (!done.moved) return point(done);
    if (done.tool !== "measure" || !done.hit || event.type === "pointercancel") return;
    const to = hears.stage().hit(x, y);
    if (to?.plane !== done.hit.plane) return;
    const found = measure(done.hit, to.point, hears.stage(), store.now, hears.scan());
    if (found.length >= LEAST_MM) hears.drawn(found);
  };
  box.addEventListener("pointerup", ended);
  box.addEventListener("pointercancel", ended);
  box.addEventListener("pointerleave", () => hears.over(null));

  let turned = 0; // fine wheels and touch pads send many small turns
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const hit = hears.stage().hit(...place(event));
    const turn = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
    if (event.ctrlKey || event.metaKey) return zoomAt(store, 2 ** (-turn / 300), hit);
    turned = Math.sign(turned) === Math.sign(turn) ? turned + turn : turn;
    const whole = Math.trunc(turned / 50);
    if (!whole) return;
    turned -= whole * 50;
    const plane = store.now.layout === "planes" ? (hit?.plane ?? 2) : 2;
    step(store, plane, Math.sign(whole), hears.stage().counts(hears.scan())[plane]);
  }, { passive: false });

  function move(now: Drag, x: number, y: number): void {
    const [across, down] = [(x - now.x) / box.clientWidth, (y - now.y) / box.clientHeight];
    if (now.tool === "window") {
      if (now.state.window) dragged(store, now.state.window, across, down);
    } else if (now.tool === "zoom") {
      const wanted = now.state.zoom * 2 ** (-3 * down);
      zoomAt(store, wanted / store.now.zoom, now.hit);
    } else if (now.tool === "measure") {
      const to = hears.stage().hit(x, y);
      if (now.hit && to?.plane === now.hit.plane) hears.drawing(measure(now.hit, to.point, hears.stage(), store.now, hears.scan()));
    } else {
      const plane = now.hit?.plane ?? 2;
      const [wide, high] = pixels(hears.stage(), plane);
      if (wide && high) panBy(store, now.state.middle, plane, -(x - now.x) / wide, -(y - now.y) / high);
    }
  }

  /** A click without dragging: in three planes it says which slices are looked at. */
  function point(now: Drag): void {
    if (store.now.layout !== "planes" || !now.hit || now.tool === "measure") return;
    const counts = hears.stage().counts(hears.scan());
    for (const axis of axes(now.hit.plane)) goTo(store, axis, numberOf(now.hit.point[axis], counts[axis]), counts[axis]);
  }
}

/** CSS pixels for the whole of a plane's two axes, negative where an axis runs up or to the left. */
function pixels(stage: Stage, plane: 0 | 1 | 2): [number, number] {
  const [a, b] = axes(plane);
  const from: Point = [0.4, 0.4, 0.4];
  const [along, aside] = [[...from] as Point, [...from] as Point];
  along[a] = 0.6;
  aside[b] = 0.6;
  const [zero, one, two] = [from, along, aside].map((point) => stage.place(point, plane));
  return zero && one && two ? [(one[0] - zero[0]) / 0.2, (two[1] - zero[1]) / 0.2] : [0, 0];
}
