// Tables whose rows stay the same elements while their text changes: focus, selection and a screen reader's place
// survive an update. All text goes in as text, never as HTML.

/** An element with text and attributes. */
export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Set text only where it differs. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * A table with one row an item.
 *
 * columns: {label, text(item), kind?(item), number?, node?(item), refresh?(node, item)}. `kind` becomes the class of the
 * text; `node` makes a cell's content once, and `refresh` follows the item. Below 40 rem the style turns rows into cards,
 * which takes the table's meaning from browsers: so roles are given.
 */
export class LiveTable {
  constructor(table, columns, keyOf) {
    this.columns = columns;
    this.keyOf = keyOf;
    this.rows = new Map();
    this.table = table;
    table.setAttribute("role", "table");
    const head = element("thead", "", { role: "rowgroup" });
    const row = element("tr", "", { role: "row" });
    for (const { label, number } of columns) {
      const cell = element("th", label, { scope: "col", role: "columnheader" });
      if (number) cell.className = "number";
      row.append(cell);
    }
    head.append(row);
    this.body = element("tbody", "", { role: "rowgroup" });
    table.append(head, this.body);
  }

  update(items) {
    const left = new Map(this.rows);
    let before = null;
    for (const item of items) {
      const key = this.keyOf(item);
      const row = this.rows.get(key) ?? this.#made(key, item);
      left.delete(key);
      this.columns.forEach((column, index) => this.#fill(row.cells[index], column, item));
      const place = before === null ? this.body.firstChild : before.nextSibling;
      if (place !== row) this.body.insertBefore(row, place);
      before = row;
    }
    for (const [key, row] of left) {
      row.remove();
      this.rows.delete(key);
    }
    this.table.hidden = items.length === 0;
  }

  #made(key, item) {
    const row = element("tr", "", { role: "row" });
    this.columns.forEach(({ label, number, node }, index) => {
      const cell = element(index === 0 ? "th" : "td", "", { "data-label": label, role: index === 0 ? "rowheader" : "cell" });
      if (index === 0) cell.setAttribute("scope", "row");
      if (number) cell.className = "number";
      cell.append(node ? node(item) : element("span"));
      row.append(cell);
    });
    this.rows.set(key, row);
    return row;
  }

  #fill(cell, { text, kind, refresh }, item) {
    const inner = cell.firstChild;
    if (refresh) return refresh(inner, item);
    say(inner, text(item));
    cell.classList.toggle("none", inner.textContent === "–");
    const wanted = kind ? kind(item) : "";
    if (inner.className !== wanted) inner.className = wanted;
    return undefined;
  }
}
