// Add to a log what its task prints, while it runs; scroll along only while the end is in sight.

const MOST_LINES = 2000;

export function follow(pre) {
  const source = new EventSource(`${pre.dataset.follow}&at=${pre.dataset.at}`);
  source.addEventListener("log", (event) => {
    const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40;
    const { lines } = JSON.parse(event.data);
    pre.append(`${lines.join("\n")}\n`);
    const all = pre.textContent.split("\n");
    if (all.length > MOST_LINES) pre.textContent = all.slice(-MOST_LINES).join("\n");
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  });
  source.addEventListener("end", () => source.close());
  window.addEventListener("pagehide", () => source.close(), { once: true });
  pre.scrollTop = pre.scrollHeight;
}
