// The sample explorer. What it shows is model output: text nodes and attributes of our own choosing, never markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const ROW = 3, AHEAD = 8;
  const ui = { list: byId("x-list"), detail: byId("x-detail"), count: byId("x-count"), query: byId("x-query"),
    task: byId("x-task"), outcome: byId("x-outcome"), latent: byId("x-latent"), draw: byId("x-draw") };
  const OUTCOMES = [["changed", "changed"], ["lost", "lost: baseline better"],
    ["gained", "gained: latent better"], ["equal", "equal"], ["right", "equal, full score"], ["wrong", "equal, score 0"],
    ["any", "any"]];
  const MARKS = { lost: "▼", gained: "▲", equal: "=" };
  let data, rows = [], shown = [], at = -1, drawn = new Map();

  const el = (name, props, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(props || {})) {
      if (value === null || value === undefined) continue;
      if (key === "class") made.className = value; else made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const number = (value) => (value === null ? "–" : String(Number(value.toFixed(3))).replace("-", "−"));
  const pixels = () => ROW * parseFloat(getComputedStyle(document.documentElement).fontSize);

  async function unpack() {
    const bytes = Uint8Array.from(atob(byId("explorer-data").textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const { panels, tasks, items } = await new Response(stream).json();
    return { panels, tasks, items: items.map(([task, doc, prompt, target, choices, base, latents]) =>
      ({ task: tasks[task], doc, prompt, target, choices, base: side(base), latents: latents.map(side) })) };
  }
  const side = (raw) => raw && { score: raw[0], texts: raw[1], draws: raw[2], logps: raw[3], note: raw[4] };

  // One row per document and latent; what is searched is put together once.
  function makeRows() {
    for (const item of data.items) {
      const panel = data.panels[item.task.panel];
      const own = [item.prompt, item.target, ...item.choices, ...item.base.texts].join("\n").toLowerCase();
      panel.latents.forEach((label, place) => {
        const latent = item.latents[place];
        if (latent) rows.push({ item, panel, label, place, latent, own, said: latent.texts.join("\n").toLowerCase() });
      });
    }
  }
  function outcomeOf(row, draw) {
    const found = draw === null ? row.latent.score : (row.latent.draws.find((one) => one[0] === draw) || [])[2];
    const score = found === undefined ? row.latent.score : found;
    if (score === null || row.item.base.score === null) return "equal";
    const gain = (score - row.item.base.score) * row.item.task.sign;
    return gain > 0 ? "gained" : gain < 0 ? "lost" : "equal";
  }

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  }
  function fillFilters() {
    const names = [...new Set(data.items.map((item) => item.task.name))];
    fill(ui.task, [["", "all tasks"], ...names.map((name) => [name, name])]);
    fill(ui.outcome, OUTCOMES);
    const latents = new Map(data.panels.flatMap((panel) => panel.latents.map((label, i) => [label, panel.remarks[i]])));
    fill(ui.latent, [["", "all"], ...[...latents].map(([label, remark]) =>
      [label, label.includes(remark) ? label : `${label} (${remark})`])]);
    const draws = [...new Set(rows.flatMap((row) => row.latent.draws.map((one) => one[0])))].sort((a, b) => a - b);
    fill(ui.draw, [["", "mean of all"], ...(draws.length > 1 ? draws.map((draw) => [String(draw), `draw ${draw}`]) : [])]);
    clear();
  }
  function clear() {
    ui.query.value = ui.task.value = ui.draw.value = ui.latent.value = "";
    const first = rows.find((row) => !row.panel.remarks[row.place].includes("control"));
    if (first) ui.latent.value = first.label;
    ui.outcome.value = rows.some((row) => outcomeOf(row, null) !== "equal") ? "changed" : "any";
  }
  const drawWanted = () => (ui.draw.value === "" ? null : Number(ui.draw.value));

  function filter() {
    const words = ui.query.value.toLowerCase().split(/\s+/).filter(Boolean), draw = drawWanted();
    const wanted = ui.outcome.value;
    const fits = (row) => {
      if (ui.task.value && row.item.task.name !== ui.task.value) return false;
      if (ui.latent.value && row.label !== ui.latent.value) return false;
      const outcome = outcomeOf(row, draw);
      if (wanted === "changed" ? outcome === "equal" : wanted === "lost" || wanted === "gained" ? outcome !== wanted :
        wanted !== "any" && outcome !== "equal") return false;
      if (wanted === "right" && row.item.base.score !== 1 || wanted === "wrong" && row.item.base.score !== 0) return false;
      return words.every((word) => row.own.includes(word) || row.said.includes(word));
    };
    const before = shown[at];
    shown = rows.filter(fits);
    at = shown.length ? Math.max(0, shown.indexOf(before)) : -1;
    const documents = new Set(shown.map((row) => row.item)).size;
    ui.count.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} pairs here, on ` +
      `${documents.toLocaleString("en")} document${documents === 1 ? "" : "s"}`;
    ui.list.scrollTop = 0;
    redraw();
    show();
  }

  // Only the rows in sight exist.
  function redraw() {
    const height = pixels();
    ui.list.replaceChildren(el("div", { role: "presentation" }));
    ui.list.firstChild.style.height = `${shown.length * height}px`;
    drawn = new Map();
    reveal();
    drawRows();
  }
  function reveal() {
    const height = pixels(), top = at * height;
    if (at < 0) return;
    if (top < ui.list.scrollTop) ui.list.scrollTop = top;
    else if (top + height > ui.list.scrollTop + ui.list.clientHeight) ui.list.scrollTop = top + height - ui.list.clientHeight;
  }
  function drawRows() {
    const height = pixels(), from = Math.max(0, Math.floor(ui.list.scrollTop / height) - AHEAD);
    const to = Math.min(shown.length, Math.ceil((ui.list.scrollTop + ui.list.clientHeight) / height) + AHEAD);
    for (const [place, made] of drawn) {
      if (place < from || place >= to) { made.remove(); drawn.delete(place); }
    }
    for (let place = from; place < to; place++) {
      if (!drawn.has(place)) {
        const made = makeRow(shown[place], place);
        made.style.top = `${place * height}px`;
        drawn.set(place, made);
        ui.list.append(made);
      }
      drawn.get(place).setAttribute("aria-selected", String(place === at));
    }
    if (at >= 0 && drawn.has(at)) ui.list.setAttribute("aria-activedescendant", `x-row-${at}`);
    else ui.list.removeAttribute("aria-activedescendant");
  }
  function makeRow(row, place) {
    const outcome = outcomeOf(row, drawWanted());
    const start = row.item.prompt.trim().slice(-160).replace(/\s+/g, " ");
    const made = el("div", { class: "x-row", role: "option", id: `x-row-${place}`, "aria-setsize": shown.length,
      "aria-posinset": place + 1 },
      el("div", null, el("span", { class: outcome }, `${MARKS[outcome]} ${outcome}`),
        ` ${row.item.task.name} ${row.item.doc} · ${row.label}`),
      el("div", { class: "x-text", dir: "auto" }, start));
    made.addEventListener("click", () => select(place));
    return made;
  }
  function select(place) {
    if (!shown.length) return;
    at = Math.min(Math.max(place, 0), shown.length - 1);
    reveal();
    drawRows();
    show();
    history.replaceState(null, "", hashOf(shown[at]));
  }
  const hashOf = (row) => "#s=" + [row.item.task.panel, row.item.task.name, row.item.doc, row.label]
    .map(encodeURIComponent).join("/");
  function openHash() {
    if (!location.hash.startsWith("#s=")) return false;
    const wanted = rows.find((row) => hashOf(row) === location.hash);
    if (!wanted) { ui.count.textContent = "The sample of this address is not among those in the page."; return true; }
    if (!shown.includes(wanted)) {
      clear();
      ui.outcome.value = "any";
      ui.latent.value = wanted.label;
      filter();
    }
    byId("samples").scrollIntoView();
    select(shown.indexOf(wanted));
    ui.list.focus({ preventScroll: true });
    return true;
  }

  // A link here opens at once, and also where its address is the page's already: no change would be announced then.
  function onLink(event) {
    const link = event.target.closest('a[href^="#s="]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.hash !== location.hash) history.pushState(null, "", link.hash);
    openHash();
  }

  // The sample itself.
  function show() {
    if (at < 0) { ui.detail.replaceChildren(el("p", { class: "why" }, "Nothing fits these filters.")); return; }
    const row = shown[at], { item, latent, panel, label } = row, outcome = outcomeOf(row, null);
    const parts = [
      el("h3", null, `${item.task.name}, document ${item.doc}`),
      el("p", { class: "meta" }, el("span", { class: outcome }, `${MARKS[outcome]} ${outcome}`),
        ` · ${item.task.metric}: ${number(item.base.score)} → ${number(latent.score)} · `,
        el("a", { href: hashOf(row) }, "link to this sample")),
    ];
    if (item.task.shared) {
      parts.push(el("details", null, el("summary", null, "How all prompts of this task here begin"), pre(item.task.shared)));
    }
    parts.push(el("h4", null, "Prompt"), pre(item.prompt), el("h4", null, "Target"), pre(item.target));
    parts.push(item.choices.length ? choices(row) : completions(row));
    for (const [who, one] of [[panel.baseline, item.base], [label, latent]]) {
      if (one.note) parts.push(el("p", { class: "meta" }, `${who}: ${one.note}`));
    }
    parts.push(others(row));
    ui.detail.replaceChildren(...parts.filter(Boolean));
    ui.detail.scrollTop = 0;
  }
  const pre = (...content) => el("pre", { dir: "auto", tabindex: "0" }, ...content);
  function choices({ item, latent, panel, label }) {
    const best = (logps) => logps.indexOf(Math.max(...logps.filter((one) => one !== null)));
    const cell = (logps, place) => el("td", { class: "n" }, number(logps[place] ?? null),
      place === best(logps) ? el("span", { class: "sub" }, "likeliest") : null);
    const head = (text) => el("th", { scope: "col" }, text);
    return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Choices" },
      el("table", { class: "choices" }, el("caption", null, "log p of each choice, in nats"),
        el("thead", null, el("tr", null, head("Choice"), head(panel.baseline), head(label))),
        el("tbody", null, ...item.choices.map((text, place) => el("tr", null,
          el("th", { scope: "row" }, el("bdi", null, text)), cell(item.base.logps, place), cell(latent.logps, place))))));
  }
  function completions({ item, latent, panel, label }) {
    const reference = latent.texts[0] ?? "";
    return el("div", { class: "x-sides" }, answers(panel.baseline, item.base, reference, "del"),
      answers(label, latent, item.base.texts[0] ?? "", "ins"));
  }
  function answers(who, one, other, mark) {
    const draw = drawWanted(), made = el("div", null, el("h4", null, who));
    one.texts.forEach((text, place) => {
      const of = one.draws.filter((each) => each[1] === place), scores = of.map((each) => each[2]);
      if (draw !== null && one.draws.length > 1 && !of.some((each) => each[0] === draw)) return;
      const mean = scores.every((score) => score !== null) ? scores.reduce((a, b) => a + b, 0) / scores.length : null;
      if (one.draws.length > 1) {
        made.append(el("p", { class: "meta" }, `${of.length} of ${one.draws.length} draws (${of.map((each) => each[0])
          .join(", ")}), score ${number(mean)}`));
      }
      made.append(pre(...marked(text, other, (words) => el(mark, null, words))));
    });
    if (!one.texts.length) made.append(el("p", { class: "why" }, "no answer"));
    return made;
  }
  function others({ item, panel, label }) {
    const rest = panel.latents.map((name, place) => [name, item.latents[place]]).filter(([name, one]) => one && name !== label);
    if (!rest.length) return null;
    const links = rest.map(([name, one]) => el("li", null, el("a", { href: hashOf({ item, label: name }) }, name),
      `: score ${number(one.score)}`));
    return el("div", { class: "x-others" }, el("h4", null, "The same document under"), el("ul", { class: "plain" }, ...links));
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = /^(INPUT|SELECT)$/.test(event.target.tagName), inDetail = ui.detail.contains(event.target);
    const key = event.key;
    if (key === "Escape") {
      if (inField || inDetail) ui.list.focus();
      else { clear(); filter(); }
    } else if (inField) return;
    else if (key === "/") { ui.query.focus(); ui.query.select(); }
    else if (key === "j" || key === "ArrowDown" && !inDetail) select(at + 1);
    else if (key === "k" || key === "ArrowUp" && !inDetail) select(at - 1);
    else if (key === "g" || key === "Home" && !inDetail) select(0);
    else if (key === "G" || key === "End" && !inDetail) select(shown.length - 1);
    else if ((key === "PageDown" || key === "PageUp") && !inDetail) select(at + (key === "PageDown" ? 10 : -10));
    else if (key === "Enter" && event.target === ui.list) ui.detail.focus();
    else if (key === "o") {
      ui.outcome.selectedIndex = (ui.outcome.selectedIndex + 1) % OUTCOMES.length;
      filter();
    } else return;
    event.preventDefault();
  }

  async function start() {
    data = await unpack();
    makeRows();
    byId("explorer").hidden = false;
    fillFilters();
    filter();
    for (const one of [ui.query, ui.task, ui.outcome, ui.latent, ui.draw]) one.addEventListener("input", filter);
    ui.list.addEventListener("scroll", drawRows, { passive: true });
    addEventListener("resize", redraw);
    byId("explorer").addEventListener("keydown", onKey);
    ui.detail.addEventListener("click", onLink);
    addEventListener("hashchange", openHash);
    openHash();
    document.documentElement.dataset.explorer = "ready";
  }
  start();
})();
