// The learning curves of a fold and seed: a line per model.
(() => {
  const select = document.getElementById("curve-run");
  if (!select) return;
  const runs = study.data.curves.runs;
  const names = study.data.browser.models;
  const lines = document.getElementById("curve-lines");
  const cursor = document.getElementById("curve-cursor");
  const tip = document.getElementById("curve-tip");
  const legend = document.getElementById("curve-legend");
  const hidden = new Set();
  const height = 300;
  const keys = [...new Set(runs.map((r) => `fold ${r.fold}, seed ${r.seed}`))];
  for (const key of keys) select.add(new Option(key));
  let shown = [];
  let to = null;
  let box = null;

  function draw() {
    const all = runs.filter((r) => `fold ${r.fold}, seed ${r.seed}` === select.value);
    shown = all.filter((r) => !hidden.has(r.model));
    const { ink, width } = study.prepare(lines, height);
    study.prepare(cursor, height);
    const values = shown.flatMap((r) => r.y).filter((v) => v !== null);
    const x = [1, Math.max(2, ...all.map((r) => r.x[r.x.length - 1]))];
    const [low, high] = [Math.min(0, ...values), Math.max(0.1, ...values)];
    box = { left: 56, top: 14, width: width - 72, height: height - 60 };
    to = study.panel(ink, box, x, [low, high + (high - low) * 0.05], "validation CCC", 5);
    study.timeAxis(ink, box, x, to, "epoch");
    for (const r of shown) study.line(ink, to, r.x, r.y, study.models[r.model % 8], 2);
    legend.replaceChildren(...all.map((r) => {
      const button = document.createElement("button");
      const dash = document.createElement("i");
      dash.style.background = study.models[r.model % 8];
      button.type = "button";
      button.append(dash, names[r.model]);
      button.setAttribute("aria-pressed", String(!hidden.has(r.model)));
      button.addEventListener("click", () => {
        if (!hidden.delete(r.model)) hidden.add(r.model);
        draw();
      });
      return button;
    }));
  }

  function hover(event) {
    const { ink, width } = study.prepare(cursor, height);
    const at = event.clientX - cursor.getBoundingClientRect().left;
    const span = to.x(2) - to.x(1);
    const epoch = Math.round(1 + (at - to.x(1)) / span);
    const told = shown
      .map((r) => ({ r, y: r.y[r.x.indexOf(epoch)] }))
      .filter(({ y }) => y !== undefined && y !== null)
      .sort((a, b) => b.y - a.y);
    if (!told.length) return study.tell(tip, 0, width, "");
    ink.strokeStyle = study.colour("--muted");
    ink.beginPath();
    ink.moveTo(to.x(epoch), box.top);
    ink.lineTo(to.x(epoch), box.top + box.height);
    ink.stroke();
    return study.tell(tip, to.x(epoch), width,
      `epoch ${epoch}\n` + told.map(({ r, y }) => `${y.toFixed(3)}  ${names[r.model]}`).join("\n"));
  }

  select.addEventListener("change", draw);
  cursor.addEventListener("pointermove", hover);
  cursor.addEventListener("pointerleave", () => {
    study.tell(tip, 0, 0, "");
    study.prepare(cursor, height);
  });
  study.dark.addEventListener("change", draw);
  window.addEventListener("resize", draw);
  draw();
})();
