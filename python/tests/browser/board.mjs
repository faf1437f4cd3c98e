// Opens the board in Chromium in both languages, both themes and three widths, and prints what
// axe-core, the layout and the keyboard complain about as JSON. Usage: board.mjs TOOLS CHROMIUM URL
import { createRequire } from "node:module";
import path from "node:path";

const [tools, chromium, url] = process.argv.slice(2);
const require = createRequire(path.resolve(tools, "node_modules", "x.js"));
const { chromium: engine } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const PAGES = ["/board", "/board/kpis/net_revenue", "/board/teams/commerce", "/board/search?q=rev"];
const TABLES = ["/board/levels", "/board/incidents", "/board/impact"]; // widest on a tablet
const VIEWS = [[1440, "light", "fr", PAGES], [768, "dark", "en", [...PAGES, ...TABLES]], [390, "dark", "fr", PAGES]];

const browser = await engine.launch({ executablePath: chromium, args: ["--no-sandbox"] });
const found = [];
for (const [width, colorScheme, lang, pages] of VIEWS) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const page = await context.newPage();
  page.on("pageerror", (error) => found.push({ page: page.url(), rule: "script", what: String(error) }));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) found.push({ page: page.url(), rule: "network", what: request.url() });
  });
  for (const name of pages) {
    const where = `${name} ${width} ${colorScheme} ${lang}`;
    await page.goto(`${url}${name}${name.includes("?") ? "&" : "?"}lang=${lang}`);
    await page.waitForFunction(() => document.documentElement.dataset.ready === "1");
    await page.addScriptTag({ path: axe });
    const result = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), LEVELS);
    for (const one of result.violations) found.push({ page: where, rule: one.id, what: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (overflow > 0) found.push({ page: where, rule: "overflow", what: `${overflow} px` });
    const clipped = await page.evaluate(() => [...document.querySelectorAll(".tile .figure, .bars .value, .facts .big")].filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline").map((one) => one.textContent));
    if (clipped.length) found.push({ page: where, rule: "clipped", what: clipped });
    const empty = await page.evaluate(() => [...document.querySelectorAll("[data-marks]")].filter((one) => one.dataset.marks === "0").length);
    if (empty) found.push({ page: where, rule: "empty chart", what: empty });
    const english = lang === "fr" ? await page.evaluate(() => document.body.innerText.match(/\b(AM|PM)\b|None|undefined/g)) : null;
    if (english) found.push({ page: where, rule: "words", what: english });
  }
  await context.close();
}

// The keyboard alone: to the content, to a tile, to its page; "/" leads to the search, the arrows
// through what it found and back to its box.
const page = await browser.newPage();
await page.goto(`${url}/board?lang=en`);
await page.keyboard.press("Tab");
const skip = await page.evaluate(() => document.activeElement.className);
if (skip !== "skip") found.push({ page: "/board", rule: "keyboard", what: skip });
await page.focus("a.tile");
await Promise.all([page.waitForURL("**/board/kpis/**"), page.keyboard.press("Enter")]);
await Promise.all([page.waitForURL("**/board/search**"), page.keyboard.press("/")]);
// A busy machine gives the box the focus a moment after the page is there.
await page.waitForFunction(() => document.activeElement.name === "q");
await page.keyboard.type("reven");
await Promise.all([page.waitForURL("**q=reven**"), page.keyboard.press("Enter")]);
await page.waitForFunction(() => document.documentElement.dataset.ready === "1");
const walked = [];
for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown", "End", "Home"]) {
  await page.keyboard.press(key);
  walked.push(await page.evaluate(() => [...document.querySelectorAll("[data-hits] a")].indexOf(document.activeElement)));
}
const hits = await page.evaluate(() => document.querySelectorAll("[data-hits] a").length);
if (hits < 2 || JSON.stringify(walked) !== JSON.stringify([0, 1, 0, -1, 0, hits - 1, 0])) found.push({ page: "/board/search", rule: "keyboard", what: [hits, walked] });
await Promise.all([page.waitForURL("**/board/kpis/**"), page.keyboard.press("Enter")]);

// An update replaces what changed in place: no reload, and what was opened stays open.
await page.goto(`${url}/board?lang=en`);
await page.waitForFunction(() => document.documentElement.dataset.live === "1");
await page.evaluate(() => {
  window.stayed = true;
  document.querySelector('[data-part="course"] details').open = true;
  document.querySelector('[data-part="course"] h2').textContent = "old";
  document.querySelector('[data-part="tiles"] .figure').textContent = "old";
});
await page.evaluate(() => { document.documentElement.dataset.state = "before"; });
await page.evaluate(async () => {
  // The stream is opened again, as after a break: it tells another state than the page has.
  window.dispatchEvent(new Event("cadran:again"));
});
await page.waitForFunction(() => document.querySelector('[data-part="tiles"] .figure').textContent !== "old", null, { timeout: 15000 }).catch(() => found.push({ page: "/board", rule: "update", what: "the tile stayed old" }));
const after = await page.evaluate(() => [window.stayed === true, document.querySelector('[data-part="course"] details').open, document.querySelector('[data-part="course"] h2').textContent]);
if (JSON.stringify(after.slice(0, 2)) !== "[true,true]" || after[2] === "old") found.push({ page: "/board", rule: "update", what: after });
await browser.close();
console.log(JSON.stringify(found, null, 1));
