'use strict';
(() => {
  const words = ['not evaluated', 'fits', 'unknown', 'does not fit'];
  const marks = ['·', '✓', '?', '✕'];
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const printable = 40; // columns that fit on paper
  const page = 10; // rows that a page key moves
  const named = 20; // columns whose names a detail lists

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  class Matrix {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector('script.data').textContent);
      this.form = root.querySelector('.controls');
      this.box = root.querySelector('.grid-box');
      this.head = root.querySelector('.grid thead');
      this.body = root.querySelector('.grid tbody');
      this.detail = root.querySelector('.detail');
      this.shown = root.querySelector('.shown');
      this.members = this.data.grid.map(() => []);
      this.data.of.forEach((g, c) => this.members[g].push(c));
      this.variants = this.lettersOfRows();
      this.active = [0, 0];
      for (const part of [this.form, this.box, this.detail]) part.hidden = false;
      this.listen();
      this.filter();
    }

    // lettersOfRows gives the variants of each row letters, the same for each column.
    lettersOfRows() {
      const {grid, cells, rows} = this.data;
      return rows.map((_, r) => {
        const seen = new Map();
        for (const column of grid) {
          const variant = cells[column[r]][1];
          if (variant && !seen.has(variant)) seen.set(variant, letters[seen.size] ?? '+');
        }
        return seen;
      });
    }

    cell(r, c) {
      const {texts, cells, grid, of} = this.data;
      const [verdict, variant, reason, before, variantBefore, ...rest] = cells[grid[of[c]][r]];
      const failing = [];
      for (let i = 0; i < rest.length; i += 3) failing.push(rest.slice(i, i + 3).map((n) => texts[n]));
      return {
        verdict, reason: texts[reason], variant: texts[variant], letter: this.variants[r].get(variant) ?? '',
        failing, before, variantBefore: texts[variantBefore],
        changed: before >= 0 && (before !== verdict || variantBefore !== variant),
      };
    }

    matches(r, c) {
      const [verdict, variant, , before, variantBefore] = this.data.cells[this.data.grid[this.data.of[c]][r]];
      if (this.only === 'changed') return before >= 0 && (before !== verdict || variantBefore !== variant);
      return verdict === Number(this.only);
    }

    // filter finds the lines to show, and shows them.
    filter() {
      const {rows, columns} = this.data;
      const has = (name) => (text) => text.toLowerCase().includes(this.form.elements[name].value.trim().toLowerCase());
      const rowHas = has('rows');
      const columnHas = has('columns');
      this.only = this.form.elements.only.value;
      let shownRows = [...rows.keys()].filter((r) => rowHas(rows[r]));
      let matching = [...columns.keys()].filter((c) => columnHas(columns[c]));
      this.matching = new Set(matching);
      if (this.form.elements.alike?.checked) {
        const seen = new Set();
        matching = matching.filter((c) => !seen.has(this.data.of[c]) && seen.add(this.data.of[c]));
      }
      if (this.only) {
        const all = matching;
        matching = all.filter((c) => shownRows.some((r) => this.matches(r, c)));
        shownRows = shownRows.filter((r) => all.some((c) => this.matches(r, c)));
      }
      this.rows = shownRows;
      this.columns = matching;
      this.show();
    }

    alike(c) {
      if (!this.form.elements.alike?.checked) return [c];
      return this.members[this.data.of[c]].filter((other) => this.matching.has(other));
    }

    show() {
      const {row, column, rows, columns} = this.data;
      this.watcher?.disconnect();
      this.watcher = new IntersectionObserver((seen) => {
        for (const one of seen) if (one.isIntersecting) this.fill(one.target);
      }, {root: this.box, rootMargin: '300px'});
      const head = make('tr', {role: 'row', 'aria-rowindex': 1});
      head.append(make('th', {class: 'corner', role: 'columnheader'}, `${row} \\ ${column}`));
      for (const c of this.columns) {
        const more = this.alike(c).length - 1;
        const name = more ? `${columns[c]} +${more}` : columns[c];
        head.append(make('th', {class: 'column', role: 'columnheader', scope: 'col', title: name}, name));
      }
      this.head.replaceChildren(head);
      const table = this.body.parentElement;
      table.setAttribute('aria-rowcount', this.rows.length + 1);
      table.setAttribute('aria-colcount', this.columns.length + 1);
      this.body.replaceChildren(...this.rows.map((r, i) => {
        const line = make('tr', {role: 'row', 'aria-rowindex': i + 2},
          make('th', {class: 'row', role: 'rowheader', scope: 'row', title: rows[r]}, make('bdi', {}, rows[r])));
        this.watcher.observe(line);
        return line;
      }));
      this.box.classList.toggle('wide', this.columns.length > printable);
      let hosts = 0;
      for (const c of this.columns) hosts += this.alike(c).length;
      this.shown.textContent = `${this.rows.length} of ${rows.length} ${row}s, ${hosts} of ${columns.length} ${column}s shown` +
        (hosts > this.columns.length ? ` in ${this.columns.length} columns` : '');
      this.active = [0, 0];
      if (this.rows.length && this.columns.length) this.at(0, 0).tabIndex = 0;
    }

    // fill makes the cells of a row, when they are about to be seen.
    fill(line) {
      if (line.cells.length > 1) return;
      const i = line.rowIndex - 1;
      const r = this.rows[i];
      const byVariant = this.form.elements.cells.value === 'variant';
      const cells = document.createDocumentFragment();
      for (const c of this.columns) {
        const cell = this.cell(r, c);
        const td = make('td', {role: 'gridcell', tabindex: -1, 'aria-label': this.label(cell)},
          byVariant && cell.letter ? cell.letter : marks[cell.verdict]);
        td.className = `v${cell.verdict}${cell.changed ? ' changed' : ''}`;
        cells.append(td);
      }
      line.append(cells);
      this.watcher.unobserve(line);
    }

    label({verdict, variant, changed, before}) {
      return words[verdict] + (variant ? `, ${variant}` : '') + (changed ? `, was ${words[before]}` : '');
    }

    at(i, j) {
      const line = this.body.rows[i];
      this.fill(line);
      return line.cells[j + 1];
    }

    describe(i, j) {
      const {column, rows, columns} = this.data;
      const [r, c] = [this.rows[i], this.columns[j]];
      const cell = this.cell(r, c);
      const alike = this.alike(c);
      const parts = [
        make('h4', {}, rows[r]),
        make('p', {}, `${column} ${columns[c]}` + (alike.length > 1 ? ` and ${alike.length - 1} more` : '')),
        make('p', {}, make('span', {class: `mark v${cell.verdict}`, 'aria-hidden': 'true'}, marks[cell.verdict]),
          ` ${words[cell.verdict]}` + (cell.variant ? `: ${cell.variant}` : '') + (cell.letter ? ` (${cell.letter})` : '')),
      ];
      if (cell.before >= 0) {
        const was = words[cell.before] + (cell.variantBefore ? `: ${cell.variantBefore}` : '');
        parts.push(make('p', {}, cell.changed ? `before: ${was}` : 'as before'));
      }
      if (cell.reason) parts.push(make('p', {}, cell.reason));
      if (cell.failing.length) {
        const body = make('tbody', {}, ...cell.failing.map((f) => make('tr', {}, ...f.map((text) => make('td', {}, text)))));
        const head = make('thead', {}, make('tr', {}, ...['variant', 'want', 'have'].map((name) => make('th', {scope: 'col'}, name))));
        parts.push(make('table', {class: 'plain failing'}, head, body));
      }
      if (alike.length > 1) {
        const names = alike.slice(0, named).map((n) => columns[n]).join(', ');
        parts.push(make('p', {}, `${column}s: ${names}` + (alike.length > named ? ` and ${alike.length - named} more` : '')));
      }
      this.detail.replaceChildren(...parts);
    }

    focus(i, j) {
      this.at(...this.active).tabIndex = -1;
      this.active = [i, j];
      const td = this.at(i, j);
      td.tabIndex = 0;
      td.focus({preventScroll: true});
      td.scrollIntoView({block: 'nearest', inline: 'nearest'});
    }

    placeOf(target) {
      const td = target.closest?.('td');
      return td && this.body.contains(td) ? [td.parentElement.rowIndex - 1, td.cellIndex - 1] : null;
    }

    pin(td) {
      const pinned = this.body.querySelector('.pinned');
      pinned?.classList.remove('pinned');
      if (td && td !== pinned) td.classList.add('pinned');
    }

    listen() {
      this.form.addEventListener('input', () => this.filter());
      this.form.addEventListener('submit', (event) => event.preventDefault());
      let pointer = '';
      this.body.addEventListener('mousemove', (event) => {
        const now = `${event.clientX},${event.clientY}`;
        if (now === pointer) return; // the page moved under the pointer
        pointer = now;
        const place = this.placeOf(event.target);
        if (place && !this.body.querySelector('.pinned')) this.describe(...place);
      });
      this.body.addEventListener('focusin', (event) => {
        const place = this.placeOf(event.target);
        if (place && !this.body.querySelector('.pinned')) this.describe(...place);
      });
      this.body.addEventListener('click', (event) => {
        const place = this.placeOf(event.target);
        if (place) this.choose(place);
      });
      this.body.addEventListener('keydown', (event) => this.key(event));
      addEventListener('beforeprint', () => {
        if (!this.box.classList.contains('wide')) for (const line of this.body.rows) this.fill(line);
      });
    }

    choose(place) {
      this.pin(this.at(...place));
      this.focus(...place);
      this.describe(...place);
    }

    key(event) {
      const place = this.placeOf(event.target);
      if (!place || event.altKey || event.metaKey) return;
      const [i, j] = place;
      const [lastRow, lastColumn] = [this.rows.length - 1, this.columns.length - 1];
      const to = {
        ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
        PageUp: [i - page, j], PageDown: [i + page, j],
        Home: [event.ctrlKey ? 0 : i, 0], End: [event.ctrlKey ? lastRow : i, lastColumn],
      }[event.key];
      if (to) {
        this.focus(Math.min(Math.max(to[0], 0), lastRow), Math.min(Math.max(to[1], 0), lastColumn));
      } else if (event.key === 'Enter' || event.key === ' ') {
        this.choose(place);
      } else if (event.key === 'Escape') {
        this.pin(null);
        this.describe(i, j);
      } else {
        return;
      }
      event.preventDefault();
    }
  }

  for (const root of document.querySelectorAll('.matrix')) {
    new Matrix(root);
    root.dataset.ready = String(Math.round(performance.now()));
  }
  addEventListener('beforeprint', () => {
    for (const folded of document.querySelectorAll('details')) folded.open = true;
  });
})();
