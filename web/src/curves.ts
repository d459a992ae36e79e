// Line charts as SVG, in the classes of style/chart.css; where a value is missing the line has a gap.

export interface Line {
  name: string;
  series: string;
  dash?: string;
  points: [number, number][];
}

const NS = "http://www.w3.org/2000/svg";
const HIGH = 260;
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 14, 10, 42];

function node(name: string, attributes: Record<string, string | number>, words = ""): SVGElement {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (words) made.textContent = words;
  return made;
}

/** At most `most` round numbers, 1, 2 or 5 times a power of ten apart. */
export function ticks(low: number, high: number, most = 6): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = power * ([1, 2, 5, 10, 20].find((k) => span / (power * k) <= most) ?? 20);
  const made: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) made.push(k * step);
  return made;
}

const written = (value: number): string => {
  const short = Number(value.toPrecision(3));
  return short !== 0 && Math.abs(short) < 0.001 ? short.toExponential() : String(short);
};

/** A path through what is finite; a line of one point is a short stroke. */
export function path(points: [number, number][], place: (x: number, y: number) => [number, number]): string {
  let made = "";
  let pen = "M";
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    const [left, down] = place(x, y);
    made += `${pen}${left.toFixed(1)} ${down.toFixed(1)}`;
    if (pen === "M") made += `h.1`;
    pen = "L";
  }
  return made;
}

/** A figure `wide` pixels wide with its title, the drawing, and its legend. mark: an upright line. */
export function chart(wide: number, title: string, across: string, lines: Line[], mark?: { x: number; name: string }): HTMLElement {
  const shown = lines.filter((one) => one.points.some(([, y]) => Number.isFinite(y)));
  const all = shown.flatMap((one) => one.points).filter(([, y]) => Number.isFinite(y));
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const [first, last] = [Math.min(...xs), Math.max(...xs)];
  const [left, right] = first === last ? [first - 1, last + 1] : [first, last];
  const low = Math.min(0, ...ys);
  const high = Math.max(...ys) * 1.05 || 1;
  const place = (x: number, y: number): [number, number] => [
    LEFT + ((wide - LEFT - RIGHT) * (x - left)) / (right - left),
    TOP + ((HIGH - TOP - BOTTOM) * (high - y)) / (high - low),
  ];
  const svg = node("svg", { role: "img", "aria-label": title, viewBox: `0 0 ${wide} ${HIGH}` });
  for (const at of ticks(left, right).filter(Number.isInteger)) {
    const [x] = place(at, low);
    svg.append(node("path", { d: `M${x} ${TOP}V${HIGH - BOTTOM}`, class: "s-grid", fill: "none" }));
    svg.append(node("text", { x, y: HIGH - BOTTOM + 17, "text-anchor": "middle", class: "t-soft" }, String(at)));
  }
  for (const at of ticks(low, high)) {
    const [, y] = place(left, at);
    svg.append(node("path", { d: `M${LEFT} ${y}H${wide - RIGHT}`, class: "s-grid", fill: "none" }));
    svg.append(node("text", { x: LEFT - 7, y: y + 4.5, "text-anchor": "end", class: "t-soft" }, written(at)));
  }
  svg.append(node("text", { x: (LEFT + wide - RIGHT) / 2, y: HIGH - 6, "text-anchor": "middle", class: "t-ink" }, across));
  const keys: { picture: SVGElement; name: string }[] = [];
  const key = (picture: SVGElement, name: string): void => {
    const small = node("svg", { viewBox: "0 0 26 14", width: 26, height: 14, "aria-hidden": "true" });
    small.append(picture);
    keys.push({ picture: small, name });
  };
  if (mark) {
    const [x] = place(mark.x, low);
    const line = { class: "s-ink", fill: "none", "stroke-width": 1.3, "stroke-dasharray": "5 4" };
    svg.append(node("path", { d: `M${x} ${TOP}V${HIGH - BOTTOM}`, ...line }));
    key(node("path", { d: "M13 0V14", ...line }), mark.name);
  }
  for (const one of shown) {
    const line = { class: `s-${one.series}`, fill: "none", "stroke-width": 2, "stroke-linejoin": "round", ...(one.dash ? { "stroke-dasharray": one.dash } : {}) };
    svg.append(node("path", { d: path(one.points, place), ...line }));
    key(node("path", { d: "M1 7H25", ...line }), one.name);
  }
  const figure = document.createElement("figure");
  figure.className = "chart-box";
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  name.textContent = title;
  caption.append(name);
  const legend = document.createElement("ul");
  legend.className = "legend";
  for (const one of keys) {
    const item = document.createElement("li");
    item.append(one.picture, one.name);
    legend.append(item);
  }
  figure.append(caption, svg, legend);
  return figure;
}
