// The clip browser: lines of one model (and one beside it) over a clip, and what was seen at the slider's time.
(() => {
  const el = (id) => document.getElementById(id);
  if (!el("clip")) return;
  const { data: { browser }, colour } = study;
  const { bytes, floats } = packed;
  const modalityColours = ["#009E73", "#E69F00", "#56B4E9", "#CC79A7"];
  const sheets = new Map();
  const state = { clip: null, model: null, beside: null, step: 0 };
  let picture = { panels: [], box: null, height: 0 };

  const number = (v, digits = 2) => (v === undefined || Number.isNaN(v) ? "–" : v.toFixed(digits).replace("-", "−"));

  // A clip's numbers, unpacked when it is first looked at.
  function unpack(clip) {
    if (clip.ready) return clip.ready;
    const models = {};
    for (const [index, own] of Object.entries(clip.models)) {
      models[index] = {
        ...own, prediction: own.prediction.map(floats),
        gates: Object.fromEntries(Object.entries(own.gates).map(([m, v]) => [m, floats(v)])),
        attention: own.memory ? bytes(own.attention) : null, delta: own.memory ? floats(own.delta) : null,
      };
    }
    const time = floats(clip.time);
    clip.ready = { time, truth: clip.truth.map(floats), models };
    return clip.ready;
  }

  function sheetOf(pictures) {
    if (!sheets.has(pictures)) {
      const image = new Image();
      image.addEventListener("load", see);
      image.src = pictures.sheet;
      sheets.set(pictures, image);
    }
    return sheets.get(pictures);
  }

  function draw() {
    const { time, truth, models } = state.clip.ready;
    const own = models[state.model];
    const beside = state.beside === null ? null : models[state.beside];
    const gates = Object.entries(own.gates);
    const rows = browser.dims.map((name, k) => ({ kind: "dim", name, k, height: 118 }));
    if (gates.length) rows.push({ kind: "gate", name: "gate", height: 66 });
    if (own.memory) rows.push({ kind: "attention", name: "attention", height: 72 });
    const gap = 18;
    picture.height = rows.reduce((sum, row) => sum + row.height + gap, 0) + 56;
    const { ink, width } = study.prepare(el("lines"), picture.height);
    const x = [time[0], Math.max(time[time.length - 1], time[0] + 1e-3)];
    const all = Object.values(models);
    let top = 26;
    let to = null;
    for (const row of rows) {
      const box = { left: 62, top, width: width - 76, height: row.height };
      if (row.kind === "dim") {
        // One scale for all models of the clip: choosing another must not move the truth.
        let [low, high] = [Infinity, -Infinity];
        for (const line of [truth[row.k], ...all.map((m) => m.prediction[row.k])]) {
          for (const v of line) if (v < low) low = v;
          for (const v of line) if (v > high) high = v;
        }
        const pad = Math.max(0.05 * (high - low), 1e-3);
        to = study.panel(ink, box, x, [low - pad, high + pad], row.name);
        study.line(ink, to, time, truth[row.k], colour("--truth"), 1.4);
        if (beside) study.line(ink, to, time, beside.prediction[row.k], "#8c8c8c", 1.6);
        const hue = colour("--dim-" + (row.k % 4));
        study.line(ink, to, time, own.prediction[row.k], hue, 1.9);
        const lines = [["truth", colour("--truth")], [browser.models[state.model], hue]];
        if (beside) lines.push([browser.models[state.beside], "#8c8c8c"]);
        study.names(ink, box, lines);
      } else if (row.kind === "gate") {
        to = study.panel(ink, box, x, [0, 1], row.name, 2);
        gates.forEach(([, values], i) => study.line(ink, to, time, values, modalityColours[i % 4], 1.8));
        study.names(ink, box, gates.map(([m], i) => [m, modalityColours[i % 4]]));
      } else {
        to = study.panel(ink, box, x, [0, own.memory], row.name, 0);
        study.heat(ink, box, own, time.length);
      }
      picture.panels = rows;
      picture.box = { left: box.left, width: box.width, bottom: top + row.height };
      top += row.height + gap;
    }
    study.timeAxis(ink, { left: 62, top: 0, width: width - 76, height: top - gap }, x, to, "time [s]");
    picture.to = to;
    see();
  }

  // All that depends on the slider: cursor, pictures, numbers.
  function see() {
    const { time, truth, models } = state.clip.ready;
    const t = state.step;
    mark();
    el("now").textContent = `${time[t].toFixed(2)} s, step ${t + 1} of ${time.length}`;
    for (const figure of el("seen").children) figure.update(time[t]);
    const gates = [...new Set(Object.values(models).flatMap((m) => Object.keys(m.gates)))];
    const attentive = Object.values(models).some((m) => m.memory);
    const head = ["", ...browser.dims, ...browser.dims.map((d) => `CCC ${d}`), ...gates.map((m) => `gate ${m}`)];
    if (attentive) head.push("ΔWa [%]", "attention, old to new");
    const rows = [{ cells: ["truth", ...truth.map((v) => number(v[t]))], name: "truth" }];
    for (const [index, own] of Object.entries(models)) {
      const cells = [browser.models[index], ...own.prediction.map((v) => number(v[t]))];
      cells.push(...own.ccc.map((v) => (v === null ? "–" : number(v))));
      cells.push(...gates.map((m) => (own.gates[m] ? number(own.gates[m][t]) : "")));
      if (attentive) {
        const weights = [];
        for (let k = 0; k < own.memory; k++) weights.push((own.attention[k * time.length + t] / 255).toFixed(2));
        cells.push(own.memory ? number(own.delta[t], 0) : "", weights.join(" "));
      }
      rows.push({ cells, name: Number(index) === state.model ? "shown" : "", index: Number(index) });
    }
    tabulate(head, rows);
  }

  function tabulate(head, rows) {
    const table = el("values");
    const row = (cells, tag, name) => {
      const tr = document.createElement("tr");
      tr.className = name;
      cells.forEach((words, i) => {
        const cell = document.createElement(i ? tag : "th");
        cell.textContent = words;
        tr.append(cell);
      });
      while (tr.cells.length < head.length) tr.append(document.createElement("td"));
      return tr;
    };
    const top = document.createElement("thead");
    top.append(row(head, "th", ""));
    const body = document.createElement("tbody");
    for (const { cells, name, index } of rows) {
      const tr = row(cells, "td", name);
      if (index !== undefined) tr.cells[0].addEventListener("click", () => choose(index));
      body.append(tr);
    }
    table.replaceChildren(top, body);
  }

  // The slider's time, and where the pointer is with the words for it.
  function mark(pointed = null, words = "") {
    const { ink, width } = study.prepare(el("cursor"), picture.height);
    const { time } = state.clip.ready;
    for (const t of pointed === null ? [state.step] : [state.step, pointed]) {
      ink.strokeStyle = colour(t === state.step ? "--ink" : "--muted");
      ink.lineWidth = 1.2;
      ink.beginPath();
      ink.moveTo(picture.to.x(time[t]), 8);
      ink.lineTo(picture.to.x(time[t]), picture.box.bottom);
      ink.stroke();
    }
    study.tell(el("tip"), pointed === null ? 0 : picture.to.x(time[pointed]), width, words);
  }

  // Nearest step to the pointer.
  function under(event) {
    const { time } = state.clip.ready;
    const { left, width } = picture.box;
    const share = (event.clientX - el("cursor").getBoundingClientRect().left - left) / width;
    const wanted = time[0] + Math.min(1, Math.max(0, share)) * (time[time.length - 1] - time[0]);
    let best = 0;
    for (let i = 1; i < time.length; i++) if (Math.abs(time[i] - wanted) < Math.abs(time[best] - wanted)) best = i;
    return best;
  }

  function hover(event) {
    if (event.buttons) return go(under(event));
    const t = under(event);
    const { time, truth, models } = state.clip.ready;
    const shown = [state.model, state.beside].filter((m) => m !== null && models[m]);
    const lines = [`${time[t].toFixed(2)} s`];
    browser.dims.forEach((dim, k) => {
      lines.push(`${dim}: truth ${number(truth[k][t])}`);
      for (const m of shown) lines.push(`  ${browser.models[m]} ${number(models[m].prediction[k][t])}`);
    });
    for (const [m, v] of Object.entries(models[state.model].gates)) lines.push(`gate ${m} ${number(v[t])}`);
    return mark(t, lines.join("\n"));
  }

  function go(step) {
    state.step = Math.min(state.clip.ready.time.length - 1, Math.max(0, step));
    el("scrub").value = state.step;
    see();
  }

  function choose(model) {
    state.model = model;
    el("model").value = String(model);
    draw();
  }

  // One canvas per modality that has pictures; each knows how to show a time.
  function makeSeen() {
    const figures = state.clip.pictures.map((pictures) => {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      [canvas.width, canvas.height] = pictures.size;
      figure.append(canvas, caption);
      figure.update = (time) => {
        let i = pictures.times.findIndex((t) => t > time + 1e-6) - 1;
        if (i < 0) i = pictures.times[0] > time ? 0 : pictures.times.length - 1;
        caption.textContent = `${pictures.modality}, ${pictures.times[i].toFixed(1)} s`;
        const image = sheetOf(pictures);
        if (!image.complete) return;
        const [w, h] = pictures.size;
        const [x, y] = [(i % pictures.columns) * w, Math.floor(i / pictures.columns) * h];
        canvas.getContext("2d").drawImage(image, x, y, w, h, 0, 0, w, h);
      };
      return figure;
    });
    el("seen").replaceChildren(...figures);
    el("seen").classList.toggle("empty", !figures.length);
  }

  function open(index) {
    state.clip = browser.clips[index];
    const { time, models } = unpack(state.clip);
    const there = Object.keys(models).map(Number);
    if (!there.includes(state.model)) state.model = there[there.length - 1];
    if (!there.includes(state.beside)) state.beside = null;
    el("model").replaceChildren(...there.map((m) => new Option(browser.models[m], m)));
    el("beside").replaceChildren(new Option("none", ""), ...there.map((m) => new Option(browser.models[m], m)));
    el("model").value = String(state.model);
    el("beside").value = state.beside === null ? "" : String(state.beside);
    el("scrub").max = time.length - 1;
    state.step = 0;
    el("scrub").value = 0;
    makeSeen();
    draw();
  }

  const turn = (by) => {
    const select = el("clip");
    select.selectedIndex = (select.selectedIndex + by + browser.clips.length) % browser.clips.length;
    open(select.selectedIndex);
  };
  for (const clip of browser.clips) el("clip").add(new Option(clip.label));
  el("clip").addEventListener("change", () => open(el("clip").selectedIndex));
  el("previous").addEventListener("click", () => turn(-1));
  el("next").addEventListener("click", () => turn(1));
  el("model").addEventListener("change", () => choose(Number(el("model").value)));
  el("beside").addEventListener("change", () => {
    state.beside = el("beside").value === "" ? null : Number(el("beside").value);
    draw();
  });
  el("scrub").addEventListener("input", () => go(Number(el("scrub").value)));
  el("cursor").addEventListener("pointermove", hover);
  el("cursor").addEventListener("pointerdown", (event) => go(under(event)));
  el("cursor").addEventListener("pointerleave", () => mark());
  // Arrows move through time wherever the focus is, but where they have a meaning of their own.
  document.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const busy = event.target.closest("select, .scroll") || event.altKey || event.ctrlKey || event.metaKey;
    if (!by || busy) return;
    event.preventDefault();
    go(state.step + by * (event.shiftKey ? 10 : 1));
  });
  study.dark.addEventListener("change", draw);
  window.addEventListener("resize", draw);
  open(0);
})();
