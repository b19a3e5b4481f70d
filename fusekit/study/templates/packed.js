"use strict";
// Numbers of a page, packed as base64 of bytes or of little-endian float32 (see report_traces.py).
const packed = (() => {
  function bytes(text) {
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  return { bytes, floats: (text) => new Float32Array(bytes(text).buffer) };
})();
