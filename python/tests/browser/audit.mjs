// Opens each page from disk in Chromium, wide and as a phone, and prints what axe-core and the page
// itself complain about as JSON. Usage: audit.mjs TOOLS CHROMIUM SITE [PICTURES] -- PAGE...
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [tools, chromium, site, ...rest] = process.argv.slice(2);
const cut = rest.indexOf("--");
const pictures = rest.slice(0, cut)[0];
const pages = rest.slice(cut + 1);
const require = createRequire(path.resolve(tools, "node_modules", "x.js"));
const { chromium: engine } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SIZES = { wide: [1280, 900], phone: [375, 800] };

const browser = await engine.launch({ executablePath: chromium, args: ["--no-sandbox"] });
const found = [];
for (const [size, [width, height]] of Object.entries(SIZES)) {
  const context = await browser.newContext({ viewport: { width, height } });
  const page = await context.newPage();
  page.on("pageerror", (error) => found.push({ page: page.url(), rule: "script", what: String(error) }));
  page.on("request", (request) => {
    if (!request.url().startsWith("file:")) found.push({ page: page.url(), rule: "network", what: request.url() });
  });
  for (const name of pages) {
    await page.goto(pathToFileURL(path.resolve(site, name)).href);
    await page.addScriptTag({ path: axe });
    const result = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), LEVELS);
    for (const one of result.violations) {
      found.push({ page: name, size, rule: one.id, what: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) });
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (overflow > 0) found.push({ page: name, size, rule: "overflow", what: `${overflow} px` });
    if (pictures) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: path.join(pictures, `${size}-${name.replaceAll("/", "-")}.png`), fullPage: true });
    }
  }
  await context.close();
}

// The search: typed words give links that lead to pages, from the keyboard alone.
const page = await browser.newPage();
for (const [lang, words, goal] of [["en", "net reven", "kpis/net_revenue.html"], ["fr", "chiffre d'affaires NET", "kpis/net_revenue.html"]]) {
  await page.goto(pathToFileURL(path.resolve(site, lang, "index.html")).href);
  await page.keyboard.press("/");
  await page.keyboard.type(words);
  await page.keyboard.press("ArrowDown");
  await Promise.all([page.waitForURL("**/kpis/**", { timeout: 5000 }).catch(() => null), page.keyboard.press("Enter")]);
  if (!page.url().endsWith(goal)) found.push({ page: `${lang}/index.html`, rule: "search", what: page.url() });
}
await page.goto(pathToFileURL(path.resolve(site, "en/index.html")).href);
await page.fill("#search", "zzzz");
const none = await page.textContent(".found");
if (!none.includes("Nothing")) found.push({ page: "en/index.html", rule: "search", what: none });
await browser.close();
console.log(JSON.stringify(found, null, 1));
