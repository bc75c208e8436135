// Keeps the list of live clients as it is now: rows come and go, and those that stay are left alone.
const place = document.querySelector("[data-live]");
const EVERY = 2000;

function cell(text) {
  const made = document.createElement("td");
  made.textContent = text;
  return made;
}

function age(moment) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

function rowOf(client) {
  const row = document.createElement("tr");
  row.dataset.id = client.id;
  row.className = "live-row-new";
  const head = document.createElement("th");
  head.scope = "row";
  const link = document.createElement("a");
  link.href = client.url;
  link.textContent = client.client_type;
  head.append(link);
  const since = document.createElement("td");
  const time = document.createElement("time");
  time.dateTime = client.connected_at;
  since.append(time);
  row.append(head, ...[client.app, client.workspace, client.namespace || "all", client.actor, client.remote_addr, client.process].map(cell), since);
  return row;
}

function show({ count, clients }) {
  const body = place.querySelector("tbody");
  const rows = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const wanted = clients.map((client) => rows.get(client.id) ?? rowOf(client));
  const there = new Set(wanted);
  for (const row of rows.values()) if (!there.has(row)) row.remove();
  wanted.forEach((row, number) => {
    if (body.rows[number] !== row) body.insertBefore(row, body.rows[number] ?? null);
  });
  for (const time of body.querySelectorAll("time")) time.textContent = age(time.dateTime);
  const told = place.querySelector("[data-live-count]");
  if (told.textContent !== String(count)) told.textContent = count; // a screen reader is told of changes alone
  place.querySelector("[data-live-empty]").hidden = count > 0;
  place.querySelector("[data-live-table]").hidden = count === 0;
}

function state(text, colour) {
  const badge = place.querySelector("[data-live-state]");
  if (badge.textContent === text) return;
  badge.textContent = text;
  badge.className = `badge ${colour}`;
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(place.dataset.live, { headers: { Accept: "application/json" } });
    if (answer.redirected || answer.status === 403) {
      location.reload(); // logged out meanwhile: the server shows the way
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    state("live", "good");
  } catch {
    state("not reachable, trying again", "warn");
  }
}

async function follow() {
  await look();
  setTimeout(follow, EVERY);
}

if (place) {
  document.addEventListener("visibilitychange", look);
  follow();
}
