// Draws the trajectories that stand in this page as JSON. All text goes in as text nodes: nothing of a record is markup.
"use strict";
const ROW = 24; // pixels, as the style sheet has it
const SPARE = 10; // rows drawn above and below what is seen
const TOKENS = 2000; // tokens drawn at a time
const TEXT = 50000; // characters of a text drawn at a time
const at = (id) => document.getElementById(id);
const pieces = JSON.parse(at("pieces").textContent);
const sources = [...document.querySelectorAll("script.trajectory")];
const state = { which: -1, record: null, rows: [], lineages: [], selected: -1 };

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Neighbours in the list of lineages are far apart on the wheel of colours.
function colour(lineage) {
  const place = state.lineages.indexOf(lineage);
  return place < 0 ? "hsl(0 0% 50%)" : `hsl(${(212 + place * 137.5) % 360} 60% 48%)`;
}

// ---------------------------------------------------------------- rows

function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (part && typeof part.text === "string" ? part.text : JSON.stringify(part))).join("\n");
}

function toolCalls(message) {
  const calls = message && message.tool_calls;
  return Array.isArray(calls) ? calls.filter((call) => call && typeof call === "object") : [];
}

// Depth-first, each path as a run; a row is indented by the forks above it, not by the messages above it.
function rowsOf(record) {
  const below = new Map();
  for (const node of record.nodes) {
    const parent = node.parent ?? null;
    if (!below.has(parent)) below.set(parent, []);
    below.get(parent).push(node);
  }
  const calls = new Map();
  const failed = [];
  for (const call of record.calls) {
    if (call.node === null || call.node === undefined) failed.push(call);
    else if (!calls.has(call.node)) calls.set(call.node, call);
  }
  const rows = [];
  const stack = [...(below.get(null) || [])].reverse().map((node) => [node, 0]);
  while (stack.length) {
    const [node, depth] = stack.pop();
    rows.push({ node, call: calls.get(node.id), depth });
    const children = below.get(node.id) || [];
    for (let n = children.length - 1; n >= 0; n--) stack.push([children[n], depth + (n > 0 ? 1 : 0)]);
  }
  for (const call of failed) rows.push({ node: null, call, depth: 0 });
  return rows;
}

function drawnRow(place) {
  const { node, call, depth } = state.rows[place];
  const row = element("div", "row" + (place === state.selected ? " on" : ""));
  row.setAttribute("role", "treeitem");
  row.dataset.place = place;
  row.style.borderColor = colour(node ? node.lineage : "");
  row.style.paddingLeft = 6 + 16 * Math.min(depth, 12) + "px";
  const message = node && node.message;
  const names = toolCalls(message).map((call) => `${(call.function || call).name}(${(call.function || call).arguments ?? ""})`);
  const text = node ? [textOf(message && message.content), ...names].filter(Boolean).join(" · ") : call.error || "";
  row.append(element("span", "role", node ? node.role : "no answer"), element("span", "text", text.slice(0, 300)));
  if (node && node.boundary !== "none") row.append(element("span", "mark", node.boundary));
  const count = node && node.token_ids ? `${node.token_ids.length} tok` : "";
  const time = call ? `${call.seconds.toFixed(2)} s` : "";
  row.append(element("span", "more", [count, time].filter(Boolean).join("  ")));
  return row;
}

// Only what is seen is in the document, however many calls there are.
function draw() {
  const tree = at("tree");
  const first = Math.max(0, Math.floor(tree.scrollTop / ROW) - SPARE);
  const last = Math.min(state.rows.length, Math.ceil((tree.scrollTop + tree.clientHeight) / ROW) + SPARE);
  at("rows").style.top = first * ROW + "px";
  const rows = [];
  for (let place = first; place < last; place++) rows.push(drawnRow(place));
  at("rows").replaceChildren(...rows);
}

// ---------------------------------------------------------------- one message

function table(pairs) {
  const made = element("table");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    const line = element("tr");
    line.append(element("td", "", name), element("td", "", typeof value === "object" ? JSON.stringify(value) : String(value)));
    made.append(line);
  }
  return made;
}

function part(title, ...inner) {
  at("detail").append(element("h2", "", title), ...inner);
}

// A long list, some of it at a time.
function inPieces(box, total, step, add) {
  let done = 0;
  const button = element("button");
  const more = () => {
    add(box, done, Math.min(total, done + step));
    done = Math.min(total, done + step);
    button.textContent = `${total - done} more`;
    if (done >= total) button.remove();
  };
  button.addEventListener("click", more);
  const holder = element("div");
  holder.append(box, button);
  more();
  return holder;
}

function longText(text) {
  return inPieces(element("pre"), text.length, TEXT, (box, from, to) => box.append(text.slice(from, to)));
}

function pretty(text) {
  if (typeof text !== "string") return JSON.stringify(text, null, 2) ?? "";
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function versionAt(node, place) {
  let found = "";
  for (const [start, version] of node.versions) if (start <= place) found = version;
  return found;
}

function drawTokens(node) {
  const logprob = new Map();
  const said = new Set();
  let taken = 0;
  for (const [start, end] of node.sampled) {
    for (let place = start; place < end; place++) {
      said.add(place);
      if (node.engine_logprobs) logprob.set(place, node.engine_logprobs[taken]);
      taken += 1;
    }
  }
  const add = (box, from, to) => {
    for (let place = from; place < to; place++) {
      const id = node.token_ids[place];
      const token = element("span", said.has(place) ? "tok said" : "tok", pieces[id] ?? `${id} `);
      const known = [`token ${id}`, said.has(place) ? "sampled" : "prompt"];
      if (logprob.has(place)) {
        known.push(`log-prob ${logprob.get(place).toFixed(4)}`, `p ${Math.exp(logprob.get(place)).toFixed(4)}`);
      }
      if (said.has(place) && versionAt(node, place)) known.push(versionAt(node, place));
      token.title = known.join(" · ");
      box.append(token);
    }
  };
  part(`Tokens: ${node.token_ids.length}, sampled ${said.size}`, inPieces(element("pre"), node.token_ids.length, TOKENS, add));
}

function drawMessage(node) {
  const message = node.message || {};
  if (message.reasoning_content) part("Reasoning", longText(String(message.reasoning_content)));
  const text = textOf(message.content);
  if (text) part(node.role === "tool" ? `Result of ${message.tool_call_id ?? ""}` : "Message", longText(text));
  const outcomes = new Map(node.tool_calls.map((call) => [call.id, call.outcome]));
  for (const call of toolCalls(message)) {
    const asked = call.function || call;
    const outcome = outcomes.get(call.id);
    part(`Calls ${asked.name} ${call.id ?? ""}${outcome ? ": " + outcome : ""}`, longText(pretty(asked.arguments)));
  }
  if (Array.isArray(message.tools)) part(`Tools: ${message.tools.length}`, longText(pretty(message.tools)));
}

function drawCall(call) {
  const pairs = [["dialect", call.dialect], ["started", call.started_at], ["first token", call.first_token_s]];
  pairs.push(["seconds", call.seconds], ["usage", call.usage], ["finish", call.finish_reason], ["engine", call.engine]);
  pairs.push(["sampling", call.sampling], ["asked", call.asked], ["retries", call.retries], ["error", call.error]);
  part(`Call ${call.id}`, table(pairs));
}

function select(place, follow) {
  state.selected = Math.max(0, Math.min(state.rows.length - 1, place));
  const row = state.rows[state.selected];
  at("detail").replaceChildren();
  if (!row) return draw();
  const { node, call } = row;
  if (node) {
    const about = [["role", node.role], ["lineage", node.lineage], ["boundary", node.boundary], ["turn", node.turn]];
    part(`Node ${node.id}`, table([...about, ["origin", node.origin], ["parent", node.parent]]));
    drawMessage(node);
  }
  if (call) drawCall(call);
  if (node && node.token_ids) drawTokens(node);
  if (follow) {
    const tree = at("tree");
    const top = state.selected * ROW;
    if (top < tree.scrollTop || top + ROW > tree.scrollTop + tree.clientHeight) tree.scrollTop = top - tree.clientHeight / 2;
  }
  draw();
  history.replaceState(null, "", `#${state.which}/${state.selected}`);
}

// ---------------------------------------------------------------- one trajectory

function drawAbout(record) {
  const box = at("about");
  box.replaceChildren();
  const verdict = record.verdict;
  const judged = verdict ? `reward ${verdict.reward}${verdict.masked ? " (masked)" : ""}` : "no verdict";
  box.append(element("b", verdict ? (verdict.passed ? "good" : "bad") : "dim", judged));
  const says = verdict ? [verdict.reason, ...verdict.flags].filter(Boolean).join(", ") : "";
  const { boot, agent, grade } = record.timing;
  const sums = [`${record.nodes.length} messages`, `${record.calls.length} calls`];
  const times = `boot ${boot.toFixed(1)} s, agent ${agent.toFixed(1)} s, grade ${grade.toFixed(1)} s`;
  const ended = `ended: ${record.exit.kind} ${record.exit.detail}`;
  const made = `${record.scaffold.name} ${record.scaffold.version}, ${record.model}`;
  box.append(element("span", "dim", " · " + [says, made, ended, ...sums, times].filter(Boolean).join(" · ")));
  state.lineages = [...new Set(["main", ...record.nodes.map((node) => node.lineage)])];
  const chips = state.lineages.slice(0, 30).map((lineage) => {
    const chip = element("span", "chip", lineage);
    chip.style.borderColor = colour(lineage);
    return chip;
  });
  at("legend").replaceChildren(...chips);
}

function open(which, place) {
  if (!sources.length) return;
  state.which = Math.max(0, Math.min(sources.length - 1, which));
  at("which").value = String(state.which);
  state.record = JSON.parse(sources[state.which].textContent);
  state.rows = rowsOf(state.record);
  drawAbout(state.record);
  at("space").style.height = state.rows.length * ROW + "px"; // ahead of scrolling, which goes no further than this
  at("tree").scrollTop = 0;
  select(place, true);
}

function goTo() {
  const [which, place] = location.hash.slice(1).split("/").map((text) => Number.parseInt(text, 10) || 0);
  if (which !== state.which) open(which, place || 0);
  else select(place || 0, true);
}

sources.forEach((source, which) => {
  const option = element("option", "", source.dataset.name);
  option.value = String(which);
  at("which").append(option);
});
at("which").addEventListener("change", (event) => open(Number(event.target.value), 0));
at("tree").addEventListener("scroll", () => requestAnimationFrame(draw));
at("rows").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) select(Number(row.dataset.place), false);
});
at("tree").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, End: Infinity, Home: -Infinity }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  select(Number.isFinite(step) ? state.selected + step : step > 0 ? state.rows.length - 1 : 0, true);
});
window.addEventListener("resize", draw);
window.addEventListener("hashchange", goTo);
goTo();
