// Keeps one page of the board open in Chromium, with a filter, while something begins to fail, and
// prints as JSON what it showed then and whether it is still the page that was opened. It says
// "open" once it follows the data. Usage: live.mjs TOOLS CHROMIUM ADDRESS [PICTURES]
import { createRequire } from "node:module";
import path from "node:path";

const [tools, chromium, address, pictures] = process.argv.slice(2);
const require = createRequire(path.resolve(tools, "node_modules", "x.js"));
const { chromium: engine } = require("playwright-core");

const browser = await engine.launch({ executablePath: chromium, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const shot = async (name) => { if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`) }); };
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
// What a reader has done to the page, which no update may undo.
const kept = () => page.evaluate(() => ({
  stayed: window.stayed === true,
  address: location.href,
  chosen: [...document.querySelectorAll("form.controls select")].map((one) => one.value),
  open: document.querySelector('[data-part="course"] details').open,
  navigations: performance.getEntriesByType("navigation").length,
}));
await page.goto(address);
await page.waitForFunction(() => document.documentElement.dataset.live === "1");
await page.evaluate(() => {
  window.stayed = true;
  document.querySelector('[data-part="course"] details').open = true;
});
let loads = 0;
page.on("framenavigated", () => { loads += 1; });
// The alerts that are shown: the title of each, and what is at stake.
const alerts = () => page.evaluate(() => [...document.querySelectorAll('[data-part="alerts"] li')].map((one) => ({
  title: one.firstElementChild.textContent.trim(),
  stake: one.querySelector('[data-part="at-stake"]')?.textContent ?? "",
})));
const before = await kept(), shown = await alerts();
await shot("before");
console.log("open");
const isNew = (titles) => [...document.querySelectorAll('[data-part="alerts"] li')].some((one) =>
  !titles.includes(one.firstElementChild.textContent.trim()) && one.querySelector('[data-part="at-stake"]'));
const titles = shown.map((one) => one.title);
await page.waitForFunction(isNew, titles, { timeout: Number(process.env.PATIENCE ?? 60000) }).catch((error) => errors.push(String(error)));
await shot("after");
const appeared = (await alerts()).filter((one) => !titles.includes(one.title));
console.log(JSON.stringify({ before, after: await kept(), appeared, loads, errors }));
await browser.close();
