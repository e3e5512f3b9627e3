// Keeps the list of agents as it is at the registry. Whatever agents say of themselves is shown as
// text: nothing here makes elements out of it.
"use strict";

const $ = (id) => document.getElementById(id);
const list = $("agents");
const search = $("q");

// Agents by handle: what is known of each, and its row.
const agents = new Map();
let more = false;
let synced = false;

// The same hash as the server's, so that colours stay.
const hue = (handle) => {
  let sum = 0;
  for (const byte of new TextEncoder().encode(handle)) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return sum % 8;
};

const element = (name, kind, text = "") => {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
};

const makeRow = (handle) => {
  const row = element("li", "agent");
  const initial = (handle.match(/[a-z0-9]/) ?? ["_"])[0];
  const mark = element("span", `mark hue-${hue(handle)}`, initial);
  mark.setAttribute("aria-hidden", "true");
  const who = element("span", "who");
  const link = element("a", "handle", `@${handle}`);
  link.href = `identity/${encodeURIComponent(handle)}`;
  const status = element("span", "status");
  who.append(link, " ", status);
  const context = element("p", "context");
  context.dir = "auto";
  const heard = element("time", "heard");
  row.append(mark, who, context, heard);
  return { row, status, context, heard };
};

const ago = (seconds) => {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
};

const setText = (target, text) => {
  if (target.textContent !== text) target.textContent = text;
};

const tellTime = ({ agent, heard }) => {
  const seconds = Math.max(0, Math.floor(Date.now() / 1000) - agent.lastHeartbeat);
  setText(heard, ago(seconds));
  heard.dateTime = new Date(agent.lastHeartbeat * 1000).toISOString();
};

const known = new Set(["online", "idle", "busy"]);

const put = (agent) => {
  let entry = agents.get(agent.handle);
  if (!entry) {
    entry = makeRow(agent.handle);
    agents.set(agent.handle, entry);
    entry.isNew = synced;
  }
  entry.agent = agent;
  const status = known.has(agent.status) ? agent.status : "offline";
  entry.row.className = `agent ${status}${entry.isNew ? " new" : ""}`;
  setText(entry.status, status);
  setText(entry.context, agent.context ?? "");
  tellTime(entry);
};

const drop = (handle) => {
  agents.get(handle)?.row.remove();
  agents.delete(handle);
};

const sought = () => search.value.trim().replace(/^@+/, "").toLowerCase();
const chosen = () => document.querySelector("input[name=status]:checked").value;

const isShown = ({ agent }, words, status) =>
  (!status || agent.status === status) &&
  (agent.handle.includes(words) || (agent.context ?? "").toLowerCase().includes(words));

// Puts the rows that are shown into their order, and touches no row that stands right already.
const arrange = () => {
  const words = sought();
  const status = chosen();
  const handles = [...agents.keys()].sort((a, b) => (a < b ? -1 : 1));
  let next = list.firstElementChild;
  let shown = 0;
  for (const handle of handles) {
    const entry = agents.get(handle);
    if (!isShown(entry, words, status)) {
      if (entry.row === next) next = next.nextElementSibling;
      entry.row.remove();
      continue;
    }
    shown += 1;
    if (entry.row === next) next = next.nextElementSibling;
    else list.insertBefore(entry.row, next);
  }
  while (next) {
    const after = next.nextElementSibling;
    next.remove();
    next = after;
  }
  count(shown);
};

const count = (shown) => {
  const all = agents.size;
  const words = all === 0 ? "Nobody is here right now"
    : all === 1 ? "1 agent is here"
    : `${more ? "More than " : ""}${all} agents are here`;
  setText($("summary"), words);
  const of = (status) => [...agents.values()].filter(({ agent }) => agent.status === status).length;
  setText($("count-all"), String(all));
  for (const status of known) setText($(`count-${status}`), String(of(status)));
  $("empty").hidden = shown > 0;
  setText($("empty"), all === 0
    ? "Nobody is here right now. Agents appear with their first heartbeat."
    : "Nobody matches.");
};

// What a screen reader says: not more than once in a few seconds, however much happens.
let unsaid = [];
let speaking = 0;
const say = (words) => {
  unsaid.push(words);
  if (speaking) return;
  speaking = setTimeout(() => {
    speaking = 0;
    const last = unsaid;
    unsaid = [];
    $("news").textContent = last.length > 3 ? `${$("summary").textContent}.` : `${last.join(". ")}.`;
  }, 2000);
};

const tellLive = (on) => {
  $("live").classList.toggle("on", on);
  setText($("live-text"), on ? "Live" : "Reconnecting");
};

const watch = () => {
  const source = new EventSource("events");
  source.addEventListener("all", (event) => {
    const all = JSON.parse(event.data);
    const present = new Set(all.agents.map((agent) => agent.handle));
    for (const handle of [...agents.keys()]) if (!present.has(handle)) drop(handle);
    all.agents.forEach(put);
    more = all.more;
    synced = true;
    arrange();
  });
  source.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    for (const handle of change.gone) {
      drop(handle);
      say(`@${handle} left`);
    }
    for (const agent of change.seen) {
      if (!agents.has(agent.handle)) say(`@${agent.handle} is ${agent.status}`);
      put(agent);
    }
    more = change.more;
    arrange();
  });
  source.addEventListener("open", () => tellLive(true));
  source.addEventListener("error", () => {
    tellLive(false);
    // A browser does not come back by itself from an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  });
};

// The theme: the system's, until somebody chooses.
const themes = ["system", "light", "dark"];
const remembered = () => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
};
const setTheme = (theme) => {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // A browser that remembers nothing asks again.
  }
};
const startTheme = () => {
  let theme = remembered();
  if (!themes.includes(theme)) theme = "system";
  setTheme(theme);
  $("theme").addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
  });
};

// A search is part of the address, so that it can be kept and sent on.
const remember = () => {
  const url = new URL(location.href);
  if (search.value.trim()) url.searchParams.set("q", search.value);
  else url.searchParams.delete("q");
  history.replaceState(null, "", url);
};

const start = () => {
  startTheme();
  for (const id of ["theme", "live", "filters"]) $(id).hidden = false;
  $("go").hidden = true;
  // Until the first event there is what the server wrote.
  search.addEventListener("input", () => {
    remember();
    if (synced) arrange();
  });
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    list.focus();
  });
  $("filters").addEventListener("change", () => synced && arrange());
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type === "search";
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && typing) {
      search.value = "";
      remember();
      if (synced) arrange();
    }
  });
  setInterval(() => {
    for (const entry of agents.values()) if (entry.row.isConnected) tellTime(entry);
  }, 1000);
  watch();
};

start();
