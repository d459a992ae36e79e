"use strict";
// The maps: points on a canvas, a legend that hides and shows, a card for one case. Nothing is fetched.
(() => {
  const byId = (id) => document.getElementById(id);
  const canvas = byId("plot");
  if (!canvas) return;
  const data = JSON.parse(byId("data").textContent);
  const count = data.cases.length;
  const context = canvas.getContext("2d");
  const shapes = ["circle", "square", "up", "diamond", "down", "plus", "cross", "star"];
  const letters = "abcdefgh";
  const columns = data.columns.filter((c) => c.colour);
  const radius = count > 8000 ? 3 : count > 2000 ? 3.8 : count > 500 ? 4.6 : 5.6;
  const hidden = new Set();
  let map = data.maps[0], by = columns[0], view = { x: 0, y: 0, scale: 1 }, matches = null;
  let over = -1, held = -1, sprites = [], width = 0, height = 0, ratio = 1, waiting = false;

  const make = (tag, text, name) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    return node;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const isNumber = (column) => column.numbers !== undefined;
  const group = (i) => isNumber(by) ? (by.numbers[i] === null ? -1 : 0) : Math.min(by.codes[i], by.own);
  const shows = (i) => !hidden.has(group(i));

  function trace(c, shape, x, y, r) {
    c.beginPath();
    if (shape === "circle") c.arc(x, y, r, 0, 7);
    else if (shape === "square") c.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
    else if (shape === "plus" || shape === "cross") {
      const t = r * 0.38, turn = shape === "cross" ? Math.PI / 4 : 0;
      const corners = [[-t, -r], [t, -r], [t, -t], [r, -t], [r, t], [t, t], [t, r], [-t, r], [-t, t], [-r, t], [-r, -t], [-t, -t]];
      corners.forEach(([a, b], k) => {
        const px = x + 1.1 * (a * Math.cos(turn) - b * Math.sin(turn)), py = y + 1.1 * (a * Math.sin(turn) + b * Math.cos(turn));
        if (k) c.lineTo(px, py); else c.moveTo(px, py);
      });
    } else {
      const corners = { up: 3, down: 3, diamond: 4, star: 10 }[shape], start = shape === "down" ? Math.PI / 2 : -Math.PI / 2;
      for (let k = 0; k < corners; k++) {
        const far = r * (shape === "star" && k % 2 ? 0.5 : shape === "diamond" ? 1.15 : 1.25), angle = start + (2 * Math.PI * k) / corners;
        const px = x + far * Math.cos(angle), py = y + far * Math.sin(angle);
        if (k) c.lineTo(px, py); else c.moveTo(px, py);
      }
    }
    c.closePath();
  }

  function sprite(fill, shape, r, edge) {
    const side = Math.ceil(2 * (1.3 * r + 2)), picture = document.createElement("canvas");
    picture.width = picture.height = Math.ceil(side * ratio);
    const c = picture.getContext("2d");
    c.scale(ratio, ratio);
    trace(c, shape, side / 2, side / 2, r);
    c.fillStyle = fill;
    c.fill();
    c.lineWidth = 0.9;
    c.strokeStyle = edge;
    c.stroke();
    return { picture, side };
  }

  function look(k) {
    // what is in no group of its own is grey
    return k >= 0 && k < by.own ? [colour(letters[k]), shapes[k]] : [colour("rule"), "circle"];
  }

  function paintSprites() {
    const edge = colour("paper");
    if (isNumber(by)) sprites = data.ramp.map((fill) => sprite(fill, "circle", radius, colour("soft")));
    else sprites = Array.from({ length: by.own + 1 }, (_, k) => sprite(...look(k), radius, edge));
  }

  function spriteOf(i) {
    if (!isNumber(by)) return sprites[Math.min(by.codes[i], by.own)];
    const [low, high] = by.ends, part = (by.numbers[i] - low) / (high - low || 1);
    return sprites[Math.max(0, Math.min(sprites.length - 1, Math.floor(part * sprites.length)))];
  }

  const sx = (i) => width / 2 + (map.x[i] - view.x) * view.scale;
  const sy = (i) => height / 2 - (map.y[i] - view.y) * view.scale;

  function draw() {
    waiting = false;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const dimmed of [true, false]) {
      context.globalAlpha = dimmed ? 0.12 : count > 2000 ? 0.85 : 0.95;
      for (let i = 0; i < count; i++) {
        if (!shows(i) || (matches !== null && !matches.has(i)) !== dimmed) continue;
        const x = sx(i), y = sy(i);
        if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
        if (isNumber(by) && by.numbers[i] === null) continue;
        const one = spriteOf(i);
        context.drawImage(one.picture, x - one.side / 2, y - one.side / 2, one.side, one.side);
      }
    }
    context.globalAlpha = 1;
    for (const i of [over, held]) {
      if (i < 0) continue;
      context.beginPath();
      context.arc(sx(i), sy(i), radius + 6, 0, 7);
      context.lineWidth = 2.5;
      context.strokeStyle = i === held ? colour("b") : colour("ink");
      context.stroke();
    }
  }

  function redraw() {
    if (!waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  function fit() {
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let i = 0; i < count; i++) {
      low[0] = Math.min(low[0], map.x[i]); high[0] = Math.max(high[0], map.x[i]);
      low[1] = Math.min(low[1], map.y[i]); high[1] = Math.max(high[1], map.y[i]);
    }
    view.x = (low[0] + high[0]) / 2;
    view.y = (low[1] + high[1]) / 2;
    view.scale = 0.92 * Math.min(width / (high[0] - low[0] || 1), height / (high[1] - low[1] || 1));
    redraw();
  }

  function zoom(factor, x = width / 2, y = height / 2) {
    const scale = Math.max(1, Math.min(1e6, view.scale * factor)), dx = (x - width / 2), dy = (height / 2 - y);
    view.x += dx / view.scale - dx / scale;
    view.y += dy / view.scale - dy / scale;
    view.scale = scale;
    redraw();
  }

  function nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!shows(i) || (matches !== null && !matches.has(i))) continue;
      const d = (sx(i) - x) ** 2 + (sy(i) - y) ** 2;
      if (d < least) { least = d; best = i; }
    }
    return best;
  }

  function text(column, i) {
    if (!isNumber(column)) return column.values[column.codes[i]];
    return column.numbers[i] === null ? "not known" : String(column.numbers[i]);
  }

  function card(i) {
    const box = byId("point");
    box.replaceChildren();
    if (i < 0) { box.append(make("p", "Point at a case, or press the map and use the arrow keys.", "soft")); return; }
    if (data.pictures[i]) {
      const picture = make("img");
      picture.alt = "Thumbnail of " + data.cases[i] + ", " + data.shown[i];
      picture.src = "data:image/jpeg;base64," + data.pictures[i];
      box.append(picture);
    } else box.append(make("p", "This page holds no picture of it.", "soft"));
    box.append(make("h3", data.cases[i]));
    if (!data.p[i]) box.append(make("p", "The policy rejects this scan, so there is no answer.", "soft"));
    else data.classes.forEach((name, k) => {
      const bar = make("div", undefined, "bar"), ground = make("div"), fill = make("i");
      fill.style.width = 100 * data.p[i][k] + "%";
      ground.append(fill);
      bar.append(make("span", name), make("b", data.p[i][k].toFixed(2)), ground);
      box.append(bar);
    });
    const list = make("dl");
    const add = (name, value) => list.append(make("dt", name), make("dd", value));
    if (data.patients[i] !== data.cases[i]) add("patient", data.patients[i]);
    for (const column of data.columns) if (!column.title.startsWith("probability of ")) add(column.title, text(column, i));
    add("picture", data.shown[i]);
    box.append(list);
  }

  function choose(i, hold) {
    if (hold) held = held === i ? -1 : i;
    else over = i;
    card(over >= 0 ? over : held);
    redraw();
  }

  function legend() {
    const list = byId("keys");
    list.replaceChildren();
    if (isNumber(by)) {
      const item = make("li", undefined, "ramp"), ramp = make("i");
      ramp.style.background = "linear-gradient(90deg," + data.ramp.join(",") + ")";
      item.append(make("span", String(by.ends[0])), ramp, make("span", String(by.ends[1])));
      const unknown = by.numbers.filter((v) => v === null).length;
      if (unknown) item.append(make("span", unknown + " not known, not shown"));
      list.append(item);
      return;
    }
    const counts = new Array(by.own + 1).fill(0);
    for (const code of by.codes) counts[Math.min(code, by.own)]++;
    counts.forEach((number, k) => {
      if (!number) return;
      const button = make("button"), mark = sprite(...look(k), 6, colour("paper")), item = make("li");
      mark.picture.style.width = mark.picture.style.height = mark.side + "px";
      const name = k < by.own ? by.values[k] : "other (" + (by.values.length - by.own) + ")";
      button.type = "button";
      button.append(mark.picture, make("span", name + " " + number.toLocaleString("en")));
      button.setAttribute("aria-pressed", String(!hidden.has(k)));
      button.addEventListener("click", () => {
        if (hidden.has(k)) hidden.delete(k); else hidden.add(k);
        button.setAttribute("aria-pressed", String(!hidden.has(k)));
        tell();
        redraw();
      });
      item.append(button);
      list.append(item);
    });
  }

  function tell() {
    let seen = 0;
    for (let i = 0; i < count; i++) if (shows(i) && (matches === null || matches.has(i))) seen++;
    byId("count").textContent = seen === count ? "" : seen.toLocaleString("en") + " of " + count.toLocaleString("en") + " cases stand out.";
  }

  function colourBy(column) {
    by = column;
    hidden.clear();
    paintSprites();
    legend();
    tell();
    redraw();
  }

  function step(dx, dy) {
    const from = over >= 0 ? over : held;
    if (from < 0) { choose(nearest(width / 2, height / 2, Infinity), false); return; }
    let best = -1, least = Infinity;
    const x = sx(from), y = sy(from);
    for (let i = 0; i < count; i++) {
      if (i === from || !shows(i)) continue;
      const a = sx(i) - x, b = sy(i) - y, along = a * dx + b * dy, aside = Math.abs(a * dy - b * dx);
      if (along <= 0.01) continue;
      const cost = along + 2.5 * aside;
      if (cost < least) { least = cost; best = i; }
    }
    if (best < 0) return;
    const px = sx(best), py = sy(best);
    if (px < 0 || py < 0 || px > width || py > height) { view.x = map.x[best]; view.y = map.y[best]; }
    choose(best, false);
  }

  function resize() {
    const before = width;
    ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    paintSprites();
    if (before) redraw(); else fit();
  }

  const place = (event) => [event.offsetX, event.offsetY];
  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    moved = fingers.size > 1 ? 99 : 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event), last = fingers.get(event.pointerId);
    if (!last) { if (event.pointerType === "mouse") choose(nearest(x, y, 16), false); return; }
    moved += Math.abs(x - last[0]) + Math.abs(y - last[1]);
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const before = Math.hypot(last[0] - other[0], last[1] - other[1]), now = Math.hypot(x - other[0], y - other[1]);
      zoom(now / Math.max(before, 1), (x + other[0]) / 2, (y + other[1]) / 2);
    }
    if (fingers.size === 2 || event.pointerType === "mouse") {
      view.x -= (x - last[0]) / view.scale / fingers.size;
      view.y += (y - last[1]) / view.scale / fingers.size;
    }
    fingers.set(event.pointerId, [x, y]);
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (moved > 6) return;
    const found = nearest(...place(event), event.pointerType === "mouse" ? 16 : 28);
    if (event.pointerType !== "mouse") over = -1;
    if (found >= 0) choose(found, true);
    else { held = -1; choose(-1, false); }
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { if (!fingers.size) choose(-1, false); });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (ways && event.shiftKey) { view.x += 60 * ways[0] / view.scale; view.y -= 60 * ways[1] / view.scale; redraw(); }
    else if (ways) step(...ways);
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (event.key === "0") fit();
    else if (event.key === "Enter" && over >= 0) choose(over, true);
    else if (event.key === "Escape") { held = -1; choose(-1, false); }
    else return;
    event.preventDefault();
  });

  const select = byId("by");
  columns.forEach((column, k) => select.append(new Option(column.title, String(k))));
  select.addEventListener("change", () => colourBy(columns[Number(select.value)]));
  for (const pick of document.querySelectorAll("input[name=map]")) pick.addEventListener("change", () => showMap(Number(pick.value)));
  byId("in").addEventListener("click", () => zoom(1.5));
  byId("out").addEventListener("click", () => zoom(1 / 1.5));
  byId("fit").addEventListener("click", fit);
  byId("find").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    matches = null;
    if (wanted) {
      matches = new Set();
      for (let i = 0; i < count; i++) if ((data.cases[i] + "\n" + data.patients[i]).toLowerCase().includes(wanted)) matches.add(i);
    }
    tell();
    redraw();
  });
  for (const button of document.querySelectorAll("[data-point]")) {
    button.addEventListener("click", () => {
      const i = Number(button.dataset.point);
      held = -1;
      choose(-1, false);
      choose(i, true);
      byId("map").scrollIntoView();
    });
  }

  function showMap(k) {
    map = data.maps[k];
    byId("x").textContent = map.axes[0] + " →";
    byId("y").textContent = "↑ " + map.axes[1];
    canvas.setAttribute("aria-label", "Map of " + count.toLocaleString("en") + " cases by " + map.title);
    fit();
  }

  new ResizeObserver(resize).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paintSprites(); legend(); redraw(); });
  resize();
  colourBy(by);
  showMap(0);
  document.documentElement.dataset.ready = String(count);
})();
