// What the page's pictures are drawn with: lines and weights on a canvas, in the ink of its colour scheme.
const study = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const models = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c8c8c", "#B8860B"];
  const viridis = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

  // A canvas as sharp as the screen; drawing is in CSS pixels.
  function prepare(canvas, height) {
    const width = canvas.parentElement.clientWidth;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
    const ink = canvas.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    ink.font = "12px " + getComputedStyle(document.body).fontFamily;
    return { ink, width };
  }

  // Round numbers between two values, about `wanted` of them.
  function ticks(low, high, wanted) {
    const rough = (high - low) / Math.max(1, wanted);
    if (!(rough > 0)) return [low];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
    const out = [];
    for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) out.push(Number(v.toPrecision(12)));
    return out;
  }

  // A box of the picture with its own scales: grid, numbers (about `wanted` of them, or none), name.
  function panel(ink, box, x, y, name, wanted = 3) {
    const to = {
      x: (v) => box.left + ((v - x[0]) / (x[1] - x[0] || 1)) * box.width,
      y: (v) => box.top + box.height - ((v - y[0]) / (y[1] - y[0] || 1)) * box.height,
    };
    ink.lineWidth = 1;
    ink.textBaseline = "middle";
    ink.textAlign = "right";
    for (const v of wanted ? ticks(y[0], y[1], wanted) : []) {
      ink.strokeStyle = colour("--line");
      ink.beginPath();
      ink.moveTo(box.left, to.y(v));
      ink.lineTo(box.left + box.width, to.y(v));
      ink.stroke();
      ink.fillStyle = colour("--muted");
      ink.fillText(String(v).replace("-", "−"), box.left - 6, to.y(v));
    }
    ink.save();
    ink.translate(13, box.top + box.height / 2);
    ink.rotate(-Math.PI / 2);
    ink.textAlign = "center";
    ink.fillStyle = colour("--ink");
    ink.fillText(name, 0, 0);
    ink.restore();
    return to;
  }

  function line(ink, to, x, y, stroke, width) {
    ink.strokeStyle = stroke;
    ink.lineWidth = width;
    ink.lineJoin = "round";
    ink.beginPath();
    let open = false;
    for (let i = 0; i < x.length; i++) {
      if (y[i] === null || Number.isNaN(y[i])) { open = false; continue; }
      if (open) ink.lineTo(to.x(x[i]), to.y(y[i])); else ink.moveTo(to.x(x[i]), to.y(y[i]));
      open = true;
    }
    ink.stroke();
  }

  function timeAxis(ink, box, x, to, words) {
    ink.fillStyle = colour("--muted");
    ink.textAlign = "center";
    ink.textBaseline = "top";
    for (const v of ticks(x[0], x[1], box.width / 90)) ink.fillText(String(v), to.x(v), box.top + box.height + 6);
    ink.fillStyle = colour("--ink");
    ink.fillText(words, box.left + box.width / 2, box.top + box.height + 22);
  }

  // The words beside the pointer, on the side where there is room.
  function tell(tip, at, width, words) {
    tip.hidden = !words;
    tip.textContent = words;
    const left = at > width / 2;
    tip.style.left = left ? "auto" : at + 14 + "px";
    tip.style.right = left ? width - at + 14 + "px" : "auto";
  }

  // Names of the lines in their colours, above the box.
  function names(ink, box, lines) {
    let right = box.left + box.width;
    ink.textAlign = "right";
    ink.textBaseline = "bottom";
    for (const [words, hue] of lines.reverse()) {
      ink.fillStyle = hue;
      ink.fillText(words, right, box.top - 1);
      right -= ink.measureText(words).width;
      ink.fillRect(right - 20, box.top - 8, 16, 2.5);
      right -= 32;
    }
  }

  // Weights of all steps as one small picture, stretched: newest state on top.
  function heat(ink, box, own, n) {
    const small = document.createElement("canvas");
    small.width = n;
    small.height = own.memory;
    const brush = small.getContext("2d");
    const pixels = brush.createImageData(n, own.memory);
    let largest = 1;
    for (const v of own.attention) if (v > largest) largest = v;
    for (let k = 0; k < own.memory; k++) {
      for (let t = 0; t < n; t++) {
        const share = (own.attention[k * n + t] / largest) * (viridis.length - 1);
        const i = Math.min(viridis.length - 2, Math.floor(share));
        const at = ((own.memory - 1 - k) * n + t) * 4;
        for (let c = 0; c < 3; c++) pixels.data[at + c] = viridis[i][c] + (share - i) * (viridis[i + 1][c] - viridis[i][c]);
        pixels.data[at + 3] = 255;
      }
    }
    brush.putImageData(pixels, 0, 0);
    ink.imageSmoothingEnabled = false;
    ink.drawImage(small, box.left, box.top, box.width, box.height);
    ink.fillStyle = colour("--muted");
    ink.textAlign = "right";
    ink.textBaseline = "top";
    ink.fillText("new", box.left - 6, box.top);
    ink.textBaseline = "bottom";
    ink.fillText("old", box.left - 6, box.top + box.height);
  }

  return { data, dark, colour, models, prepare, ticks, panel, line, timeAxis, names, heat, tell };
})();
