"use strict";
// A click on the head of a column sorts by it, a second click the other way around.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[column];
      const text = cell.textContent.trim();
      return { row, text, key: cell.hasAttribute("data-key") ? Number(cell.dataset.key) : NaN };
    });
    const sign = up ? 1 : -1;
    rows.sort((a, b) => {
      // what is not there comes last, either way
      if (!a.text || !b.text) return !a.text - !b.text;
      if (Number.isNaN(a.key) || Number.isNaN(b.key)) {
        return sign * a.text.localeCompare(b.text, "en", { numeric: true });
      }
      return sign * (a.key - b.key);
    });
    body.append(...rows.map(({ row }) => row));
  });
}
