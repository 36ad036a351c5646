// Draw the timeline: a row for each group, how many of its tasks ran when, and where some failed.

const ROW = 44, AXIS = 28, FONT = "12px system-ui, sans-serif";

export function draw(canvas) {
  let doc = JSON.parse(canvas.dataset.doc);
  const again = () => paint(canvas, doc);
  again();
  addEventListener("resize", again);
  document.addEventListener("theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  document.addEventListener("refreshed", async () => { doc = await load(canvas); again(); });
}

async function load(canvas) {
  const response = await fetch(canvas.dataset.timeline);
  return response.ok ? response.json() : { groups: [] };
}

function paint(canvas, doc) {
  const css = getComputedStyle(document.documentElement), color = (name) => css.getPropertyValue(`--sf-${name}`);
  const width = canvas.clientWidth, height = ROW * doc.groups.length + AXIS, scale = devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const ink = canvas.getContext("2d");
  ink.scale(scale, scale);
  ink.font = FONT;
  const left = Math.min(150, width * 0.26), room = width - left - 44, bin = room / doc.bins;
  doc.groups.forEach((group, index) => {
    const top = index * ROW, floor = top + ROW - 8, high = ROW - 18;
    ink.fillStyle = color("ink");
    ink.textAlign = "right";
    ink.fillText(fitted(ink, group.group || "tasks", left - 12), left - 10, floor - 8);
    ink.strokeStyle = color("edge");
    ink.beginPath(); ink.moveTo(left, floor + .5); ink.lineTo(left + room, floor + .5); ink.stroke();
    ink.fillStyle = color("running");
    ink.beginPath(); ink.moveTo(left, floor);
    group.running.forEach((number, at) => {
      const y = floor - (number ? Math.max(2, high * number / group.most) : 0);
      ink.lineTo(left + at * bin, y); ink.lineTo(left + (at + 1) * bin, y);
    });
    ink.lineTo(left + room, floor); ink.fill();
    ink.textAlign = "left";
    ink.fillStyle = color("soft");
    ink.fillText(group.most >= 10 ? Math.round(group.most).toLocaleString() : group.most.toFixed(1), left + room + 6, floor - 8);
    ink.fillStyle = color("failed");
    ink.textAlign = "center";
    let after = -Infinity;
    (group.failed ?? []).forEach((number, at) => {
      const x = left + (at + .5) * bin;
      if (!number) return;
      ink.fillRect(x - 1, top + 10, 2, ROW - 18);
      if (x - after > 12) { ink.fillText("✗", x, top + 10); after = x; }
    });
  });
  axis(ink, doc, left, room, height, color);
}

function axis(ink, doc, left, room, height, color) {
  const span = doc.end - doc.begin, wanted = span / Math.max(2, Math.floor(room / 110));
  const steps = [.001, .01, .1, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800];
  const by = steps.find((value) => value >= wanted) ?? wanted;
  ink.fillStyle = color("soft");
  ink.textAlign = "center";
  for (let at = 0; at <= span; at += by) ink.fillText(named(at), left + room * at / span, height - 6);
}

function named(seconds) {
  if (seconds < 60) return `${+seconds.toFixed(3)} s`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return hours ? `${hours}:${two(seconds / 60 % 60)} h` : `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

function fitted(ink, text, room) {
  let kept = text;
  while (kept.length > 1 && ink.measureText(kept).width > room) kept = `${kept.slice(0, -2)}…`;
  return kept;
}
