// The page: one WebSocket in, the picture, figures, chart and alerts out.

import { Chart } from "/chart.js";
import { Overlay, readPacket } from "/overlay.js";

const at = (id) => document.getElementById(id);
const overlay = new Overlay(at("view"));
const chart = new Chart(at("chart"), at("tip"));
const STAGES = ["capture", "preprocess", "inference", "postprocess"];

let socket = null;
let state = null;
let events = [];
let smoothed = null;
let owed = 0; // frames shown to nobody, since the page was hidden
let retryMs = 500;
let wanted = null; // camera chosen by hand

// --- The connection ---------------------------------------------------------------------------------------------------

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const camera = wanted ? `?camera=${encodeURIComponent(wanted)}` : "";
  socket = new WebSocket(`${scheme}://${location.host}/ws/view${camera}`);
  socket.binaryType = "arraybuffer";
  let chain = Promise.resolve();
  const mine = socket;
  socket.onopen = () => { retryMs = 500; owed = 0; };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") hear(JSON.parse(data));
    else chain = chain.then(() => show(data, mine)).catch((error) => console.error(error));
  };
  socket.onclose = async () => {
    setStatus("lost", "Connection lost");
    notice("The connection was lost. Trying again …");
    const answer = await fetch("/", { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) location.reload(); // the token has changed
    setTimeout(connect, retryMs);
    retryMs = Math.min(8000, retryMs * 2);
  };
}

async function show(data, from) {
  const { record, picture, map } = await readPacket(data);
  overlay.take(picture, map);
  notice("");
  chart.add(record.timestamp, record.blurred_fraction ?? 0);
  figures(record);
  if (document.hidden) owed += 1;
  else if (from.readyState === WebSocket.OPEN) from.send("shown");
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden || socket?.readyState !== WebSocket.OPEN) return;
  while (owed > 0) { socket.send("shown"); owed -= 1; }
  if (state) socket.send(JSON.stringify({ camera: state.camera })); // brings the minutes that were missed
});

function hear(message) {
  if (message.type === "state") showState(message);
  else if (message.type === "history") chart.reset(message.timestamps, message.fractions);
  else if (message.type === "events") { events = message.events; showAlerts(); }
  else if (message.type === "alert") { events = [...events.slice(-99), message]; showAlerts(); }
}

// --- Figures ----------------------------------------------------------------------------------------------------------

function figures(record) {
  number("blurred", percent(record.blurred_fraction), "%");
  number("sharpness", record.sharpness == null ? "–" : compact(record.sharpness), "");
  const stages = Object.fromEntries(STAGES.map((stage) => [stage, record.stages[`${stage}_ms`]]));
  const known = STAGES.reduce((sum, stage) => sum + (stages[stage] ?? 0), 0);
  stages.waiting = Math.max(0, (record.latency_ms ?? 0) - known);
  stages.total = record.latency_ms ?? 0;
  smoothed ??= stages;
  for (const name of Object.keys(stages)) smoothed[name] += 0.15 * ((stages[name] ?? 0) - smoothed[name]);
  regions(record.regions ?? {});
  const badge = at("active");
  badge.hidden = !record.alerts.length;
  badge.textContent = record.alerts.length > 1 ? `${record.alerts[0]} +${record.alerts.length - 1}` : record.alerts[0] ?? "";
  badge.title = record.alerts.join("\n");
}

function showTimes() {
  if (!smoothed) return;
  number("latency", smoothed.total < 10 ? smoothed.total.toFixed(1) : smoothed.total.toFixed(0), "ms");
  const total = [...STAGES, "waiting"].reduce((sum, stage) => sum + smoothed[stage], 0) || 1;
  for (const stage of [...STAGES, "waiting"]) {
    document.querySelector(`[data-stage=${stage}]`).textContent = `${smoothed[stage].toFixed(1)} ms`;
    at("stack").querySelector(`.${stage}`).style.width = `${(100 * smoothed[stage]) / total}%`;
  }
}

function number(id, value, unit) {
  const small = document.createElement("small");
  small.textContent = unit;
  at(id).replaceChildren(value, ...(unit && value !== "–" ? [small] : []));
}

function regions(values) {
  const names = Object.keys(values);
  const list = at("regions");
  list.hidden = !names.length;
  if (list.children.length !== names.length) {
    list.replaceChildren(...names.map(() => element("li", "", element("span"), element("i"), element("span"))));
  }
  names.forEach((name, index) => {
    const [label, bar, value] = list.children[index].children;
    label.textContent = name;
    const share = percent(values[name].blurred_fraction);
    bar.style.setProperty("--at", `${share}%`);
    value.textContent = `${share} %`;
  });
}

// --- State ------------------------------------------------------------------------------------------------------------

function showState(message) {
  const changed = state?.camera !== message.camera;
  state = message;
  if (changed) smoothed = null;
  at("camera").textContent = short(message.camera);
  at("camera").title = message.camera;
  const model = [message.model, message.backend].filter(Boolean).join(" · ");
  for (const line of document.querySelectorAll(".model")) line.textContent = model;
  document.title = `${message.camera} · BR²Net`;
  const select = at("cameras");
  const many = message.cameras.length > 1;
  select.hidden = !many;
  at("camera").hidden = many;
  if (select.options.length !== message.cameras.length) {
    select.replaceChildren(...message.cameras.map((name) => new Option(short(name), name)));
  }
  select.value = message.camera;
  const texts = { ok: `Live · ${message.fps.toFixed(message.fps < 10 ? 1 : 0)} fps`, waiting: "Waiting", stalled: "No frames" };
  setStatus(message.status, texts[message.status]);
  notice(message.status === "ok" ? "" : message.status === "waiting" ? "Waiting for the first frame" : "No frames arrive from the source");
  at("rate").textContent = message.viewers === 1 ? "1 viewer" : `${message.viewers} viewers`;
  const counts = message.source;
  at("counts").textContent = counts
    ? [
        `${count(counts.captured)} ${counts.captured === 1 ? "frame" : "frames"}`,
        `${count(counts.dropped + counts.skipped + counts.thinned)} left out`,
        counts.damaged ? `${count(counts.damaged)} damaged` : "",
        counts.reconnects ? `${count(counts.reconnects)} ${counts.reconnects === 1 ? "reconnect" : "reconnects"}` : "",
      ].filter(Boolean).join(" · ")
    : "";
  showRecording(message.recording);
  showTimes();
  showAlerts();
}

function setStatus(status, text) {
  at("status").dataset.status = status;
  at("status").lastElementChild.textContent = text;
}

function notice(text) {
  at("notice").hidden = !text;
  at("notice").textContent = text;
}

let failure = null;
function showRecording({ available, on, seconds, file, failure: reason }) {
  if (reason && reason !== failure) toast(reason);
  failure = reason;
  const button = at("record");
  button.hidden = !available;
  button.setAttribute("aria-pressed", String(on));
  button.lastElementChild.textContent = on ? "Stop" : "Record";
  at("rec").hidden = !on;
  at("rec").title = file ?? "";
  at("rec").lastElementChild.textContent = seconds == null ? "" : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

at("record").addEventListener("click", async () => {
  const button = at("record");
  button.disabled = true;
  const on = button.getAttribute("aria-pressed") !== "true";
  try {
    const answer = await fetch("/api/recording", { method: "POST", body: JSON.stringify({ on }) });
    if (!answer.ok) toast((await answer.json()).error);
  } catch {
    toast("The server does not answer.");
  }
  button.disabled = false;
});

at("full").hidden = !document.fullscreenEnabled;
at("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else at("view").parentElement.requestFullscreen();
});

at("cameras").addEventListener("change", (event) => {
  wanted = event.target.value;
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ camera: wanted }));
});

// --- Alerts -----------------------------------------------------------------------------------------------------------

function showAlerts() {
  if (!state) return;
  const mine = events.filter((event) => event.camera === state.camera);
  const last = new Map(mine.map((event) => [event.alert, event]));
  const on = state.rules.filter((rule) => last.get(rule.text)?.state === "on");
  at("no-alerts").hidden = state.rules.length > 0;
  at("alert-count").textContent = state.rules.length ? (on.length ? `${on.length} on` : "all quiet") : "";
  at("rules").replaceChildren(...state.rules.map((rule) => {
    const isOn = on.includes(rule);
    return element("li", "", element("code", "", rule.text), element("span", isOn ? "state on" : "state", isOn ? "on" : "off"));
  }));
  at("events").replaceChildren(...mine.slice(-40).reverse().map((event) => {
    const time = element("time", "", new Date(event.timestamp * 1000).toLocaleTimeString([], { hour12: false }));
    const detail = event.state === "on" ? `on · ${worth(event)}` : `off after ${duration(event.duration_s)}`;
    const name = element("span", "", event.alert);
    name.title = event.alert;
    return element("li", event.state, element("i"), time, name, element("em", "", detail));
  }));
  const whole = state.rules.filter((rule) => rule.quantity === "blurred" && rule.region === null);
  chart.mark(intervals(mine, whole), whole.map((rule) => rule.threshold));
}

function intervals(mine, rules) {
  const found = [];
  for (const rule of rules) {
    for (const event of mine) {
      if (event.alert !== rule.text) continue;
      if (event.state === "on") found.push([event.timestamp, null]);
      else if (found.length && found.at(-1)[1] === null) found.at(-1)[1] = event.timestamp;
    }
  }
  return found;
}

function worth(event) {
  return event.alert.startsWith("blurred") ? `${percent(event.value)} %` : compact(event.value);
}

// --- Controls ---------------------------------------------------------------------------------------------------------

function slider(id, apply) {
  const input = at(id);
  const update = () => {
    input.style.setProperty("--at", `${input.value}%`);
    at(`${id}-value`).textContent = apply(Number(input.value) / 100);
    remember(id, input.value);
  };
  input.value = recall(id) ?? input.value;
  input.addEventListener("input", update);
  update();
}

slider("opacity", (value) => { overlay.set({ opacity: value }); return `${Math.round(value * 100)} %`; });
slider("threshold", (value) => { overlay.set({ threshold: value }); return value.toFixed(2); });
for (const input of document.querySelectorAll("[name=show]")) {
  input.addEventListener("change", () => overlay.set({ show: input.value }));
}
for (const input of document.querySelectorAll("[name=span]")) {
  input.addEventListener("change", () => { chart.span = Number(input.value); chart.draw(); });
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
function applyTheme() {
  document.documentElement.dataset.theme = recall("theme") ?? (dark.matches ? "dark" : "light");
  chart.draw();
}
at("theme").addEventListener("click", () => {
  remember("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
});
dark.addEventListener("change", applyTheme);

// --- Small things -----------------------------------------------------------------------------------------------------

function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

let toastTimer = 0;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").hidden = true; }, 6000);
}

function short(name) { return name.replace(/^\w+:\/\//, ""); } // an address without its scheme
function percent(fraction) { return fraction == null ? "–" : (100 * fraction).toFixed(0); }
function count(number) { return number.toLocaleString("en").replaceAll(",", "\u202f"); }
function compact(value) { return value >= 1000 ? `${(value / 1000).toFixed(1)}k` : value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2); }
function duration(seconds) { return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`; }
function remember(key, value) { try { localStorage.setItem(`br2net.${key}`, value); } catch { /* private window */ } }
function recall(key) { try { return localStorage.getItem(`br2net.${key}`); } catch { return null; } }

applyTheme();
connect();
