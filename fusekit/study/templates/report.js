(() => {
  const { bytes, floats } = packed;
  const data = JSON.parse(document.getElementById("data").textContent);
  const select = document.getElementById("clip");
  const target = document.getElementById("trace");
  const output = document.getElementById("clip-scores");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 44rem)");
  const modalityColours = ["#009E73", "#E69F00", "#56B4E9", "#CC79A7"];
  const damageColours = ["#f4c7ab", "#dd7f4c", "#9c3202"];
  const absentColour = "#8c8c8c";

  // plotly takes <b>, <a>, ... in its texts for markup: names of the user's are words.
  const plain = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // One row of the picture per dimension, then gate, what was damaged or absent, attention.
  function layoutOf(clip) {
    const rows = data.dims.map((name) => ({ kind: "dim", name, height: 3 }));
    if (data.gates.length) rows.push({ kind: "gate", name: "gate", height: 1.7 });
    if (clip.bands.length) rows.push({ kind: "bands", name: "", height: 0.3 * clip.bands.length + 0.15 });
    if (data.memory) rows.push({ kind: "attention", name: "attention", height: 1.5 });
    const gap = 0.4;
    const total = rows.reduce((sum, row) => sum + row.height, 0) + gap * (rows.length - 1);
    let top = 1;
    rows.forEach((row, i) => {
      row.axis = i === 0 ? "y" : "y" + (i + 1);
      row.domain = [Math.max(0, top - row.height / total), top];
      top = row.domain[0] - gap / total;
    });
    return { rows, height: 62 * total + 90 };
  }

  function tracesOf(clip, rows) {
    const time = floats(clip.time);
    const line = (y, name, axis, options) => ({
      type: "scatter", mode: time.length > 1 ? "lines" : "markers", x: time, y, name, yaxis: axis,
      hovertemplate: "%{y:.2f}", ...options,
    });
    // Nothing to see in such a line: it carries the words that hovering shows.
    const carrier = (words, name, y, axis) => line(new Float32Array(time.length).fill(y), name, axis, {
      text: words, line: { width: 0 }, opacity: 0, showlegend: false, hovertemplate: "%{text}",
    });
    const out = [];
    for (const row of rows) {
      if (row.kind === "dim") {
        const k = data.dims.indexOf(row.name);
        out.push(line(floats(clip.truth[k]), plain(row.name) + ", truth", row.axis,
          { line: { color: colour("--truth"), width: 2 }, showlegend: false }));
        out.push(line(floats(clip.prediction[k]), plain(row.name) + ", prediction", row.axis,
          { line: { color: colour("--dim-" + (k % 4)), width: 1.6 }, showlegend: false }));
      } else if (row.kind === "gate") {
        data.gates.forEach((name, i) => {
          const c = modalityColours[i % modalityColours.length];
          out.push(line(floats(clip.gates[i]), "gate " + plain(name), row.axis, data.gates_sum_to_one
            ? { stackgroup: "gate", line: { width: 0, color: c }, fillcolor: c }
            : { line: { color: c, width: 1.4 } }));
        });
      } else if (row.kind === "bands") {
        clip.bands.forEach((band, i) => {
          const words = new Array(time.length).fill("sound");
          for (const s of band.stretches) words.fill(plain(s.text), s.first, s.last);
          out.push(carrier(words, plain(band.name), i, row.axis));
        });
      } else {
        const flat = bytes(clip.attention);
        const z = [];
        for (let k = 0; k < data.memory; k++) {
          z.push(Float32Array.from(flat.subarray(k * time.length, (k + 1) * time.length), (v) => v / 255));
        }
        out.push({
          type: "heatmap", x: time, y: z.map((_, k) => k - data.memory), z, yaxis: row.axis, zmin: 0,
          colorscale: "Viridis", hoverinfo: "skip",
          colorbar: {
            len: row.domain[1] - row.domain[0], y: (row.domain[0] + row.domain[1]) / 2, thickness: 8, x: 1.005,
            outlinewidth: 0, tickfont: { size: 10 }, nticks: 3,
          },
        });
        const words = Array.from(time, (_, t) => z.map((weights) => weights[t].toFixed(2)).join(" "));
        out.push(carrier(words, "attention, old to new", -1, row.axis));
      }
    }
    return out;
  }

  function shapesOf(clip, rows) {
    const row = rows.find((r) => r.kind === "bands");
    if (!row) return [];
    return clip.bands.flatMap((band, i) => band.stretches.map((s) => ({
      type: "rect", xref: "x", yref: row.axis, x0: s.from, x1: s.to, y0: i - 0.4, y1: i + 0.4, line: { width: 0 },
      fillcolor: s.level < 0 ? absentColour : damageColours[s.level],
    })));
  }

  function draw() {
    const clip = data.clips[select.selectedIndex];
    const { rows, height } = layoutOf(clip);
    const ink = colour("--ink");
    const grid = colour("--line");
    const last = rows[rows.length - 1];
    const layout = {
      height, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", 
      font: { color: ink, size: 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: narrow.matches ? 54 : 68, r: narrow.matches ? 36 : 52, t: 38, b: 44 },
      hovermode: "x unified", hoversubplots: "axis", hoverlabel: { bgcolor: colour("--card"), bordercolor: grid, font: { color: ink } },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", traceorder: "normal" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--muted"), activecolor: ink },
      xaxis: {
        title: { text: "time [s]", standoff: 6 }, anchor: last.axis, gridcolor: grid, zeroline: false,
        ticksuffix: "", hoverformat: ".2f", unifiedhovertitle: { text: "%{x:.2f} s" },
      },
      shapes: shapesOf(clip, rows), dragmode: narrow.matches ? false : "zoom",
    };
    for (const row of rows) {
      const axis = {
        domain: row.domain, gridcolor: grid, zeroline: false, title: { text: plain(row.name), standoff: 4 },
        fixedrange: row.kind !== "dim",
      };
      if (row.kind === "gate") Object.assign(axis, { range: [0, 1], tickvals: [0, 0.5, 1] });
      if (row.kind === "bands") {
        Object.assign(axis, {
          tickvals: clip.bands.map((_, i) => i), ticktext: clip.bands.map((b) => plain(b.name)),
          range: [clip.bands.length - 0.5, -0.5], showgrid: false,
        });
      }
      if (row.kind === "attention") {
        Object.assign(axis, { tickvals: [-data.memory, -1], ticktext: ["old", "new"], showgrid: false });
      }
      layout["yaxis" + row.axis.slice(1)] = axis;
    }
    output.textContent = clip.scores;
    Plotly.react(target, tracesOf(clip, rows), layout,
      { responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] });
  }

  for (const clip of data.clips) select.add(new Option(clip.label));
  select.addEventListener("change", draw);
  const step = (by) => {
    select.selectedIndex = (select.selectedIndex + by + data.clips.length) % data.clips.length;
    draw();
  };
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  draw();
})();
