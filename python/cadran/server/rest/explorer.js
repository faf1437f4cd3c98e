// Sends what a form says, and shows what came back.
const root = location.pathname.replace(/\/explorer\/?$/, "");
const most = 200000;

function asked(form) {
  const link = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    if (!field.value) continue;
    if (field.dataset.in === "path") {
      path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
      continue;
    }
    const values = field.dataset.repeat ? field.value.split("\n") : [field.value];
    for (const value of values.filter(Boolean)) link.append(field.name, value);
  }
  return root + path + (String(link) ? `?${link}` : "");
}

async function shown(reply, line, out) {
  const kind = reply.headers.get("content-type") || "";
  const blob = await reply.blob();
  const headers = [...reply.headers].map((pair) => pair.join(": "));
  line([`${reply.status} ${reply.statusText}`, ...headers].join("\n"));
  if (/json|^text/.test(kind)) {
    let text = await blob.text();
    if (/json/.test(kind)) text = JSON.stringify(JSON.parse(text), null, 2);
    line(text.length > most ? `${text.slice(0, most)}\n…` : text);
    return;
  }
  const save = document.createElement("a");
  save.href = URL.createObjectURL(blob);
  save.download = "answer";
  save.textContent = `${blob.size} bytes`;
  out.append(save);
}

for (const form of document.forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const out = form.querySelector("output");
    const { body } = form.elements;
    const method = form.dataset.method;
    const token = document.getElementById("token").value;
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    if (body) headers["content-type"] = "application/json";
    const line = (text) => {
      const part = document.createElement("pre");
      part.textContent = text;
      out.append(part);
    };
    const address = asked(form);
    out.textContent = "";
    line(`${method} ${address}`);
    try {
      const reply = await fetch(address, { method, headers, body: body && body.value });
      await shown(reply, line, out);
    } catch (problem) {
      line(String(problem));
    }
  });
}
