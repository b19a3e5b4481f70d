"use strict";
// Tables sort by a click (or Enter, or Space) on a column's head; cells without a value stay last.
(() => {
  // Heads may span rows and columns: which head cells are the lowest over a single column, and over which.
  function columnsOf(table) {
    const grid = [];
    const rows = Array.from(table.tHead ? table.tHead.rows : []);
    rows.forEach((row, y) => {
      grid[y] ??= [];
      let x = 0;
      for (const cell of row.cells) {
        while (grid[y][x]) x++;
        for (let dy = 0; dy < cell.rowSpan && y + dy < rows.length; dy++) {
          grid[y + dy] ??= [];
          for (let dx = 0; dx < cell.colSpan; dx++) grid[y + dy][x + dx] = cell;
        }
        x += cell.colSpan;
      }
    });
    const last = grid[grid.length - 1] || [];
    return last.map((cell, column) => ({ cell, column })).filter(({ cell }) => cell && cell.colSpan === 1);
  }

  function keyOf(row, column) {
    const cell = row.cells[column];
    if (!cell) return null;
    const text = (cell.dataset.sort ?? cell.textContent).trim();
    if (["", "-", "–", "nan"].includes(text.toLowerCase())) return null;
    const number = Number(text.replace("−", "-").replace(/[%,]/g, ""));
    return Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sort(body, column, down) {
    const rows = Array.from(body.rows).filter((row) => !isHead(row)).map((row) => ({ row, key: keyOf(row, column) }));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return (down ? -1 : 1) * compare(a.key, b.key);
    });
    body.append(...rows.map(({ row }) => row));
  }

  // A row of one wide cell is the head of its body: it stays where it is. Other cells that span make an order
  // of their own, which is left alone.
  const isHead = (row) => row.cells.length === 1 && row.cells[0].colSpan > 1;
  const isPlain = (row) => Array.from(row.cells).every((cell) => cell.rowSpan === 1 && cell.colSpan === 1);
  const sortable = (table) => Array.from(table.tBodies).every((body) =>
    Array.from(body.rows).every((row) => isHead(row) || isPlain(row)));

  for (const table of document.querySelectorAll("table.paper-table")) {
    if (!sortable(table)) continue;
    const heads = columnsOf(table);
    for (const { cell, column } of heads) {
      cell.classList.add("sorts");
      cell.tabIndex = 0;
      const act = () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.cell.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        for (const body of table.tBodies) sort(body, column, down);
      };
      cell.addEventListener("click", act);
      cell.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        act();
      });
    }
  }
})();
