// usage: node pictures.mjs PAGES OUT ASSETS NAME=FILE...
// Takes pictures of messages in one chromium, spoken to over its DevTools protocol: OUT/NAME-light.png and -dark.png at
// 760 px, and OUT/NAME-phone.png, the light one at 380 px. PAGES holds light.html and dark.html, each the page of some
// message; pictures that messages name by the id of an upload are ASSETS/ID.png.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { load } = await import(pathToFileURL(join(process.env.DROPLEAK_SLACK_RENDER, 'payload.mjs')).href);
const [pages, out, assets, ...messages] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'pictures-'));
const browser = spawn(process.env.CHROMIUM ?? 'chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars',
  '--disable-background-networking', '--proxy-server=127.0.0.1:9', '--lang=en-US', `--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank'],
{ stdio: ['ignore', 'ignore', 'pipe'] });
const address = await new Promise((done, fail) => {
  let said = '';
  browser.stderr.on('data', (d) => { said += d; const m = said.match(/ws:\/\/\S+/); if (m) done(m[0]); });
  browser.on('exit', (code) => fail(new Error(`chromium ended with ${code}: ${said}`)));
});
const socket = new WebSocket(address);
await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
const waiting = new Map();
let last = 0, loaded = () => {};
socket.onmessage = (m) => {
  const { id, result, error, method } = JSON.parse(m.data);
  if (method === 'Page.loadEventFired') loaded();
  const w = waiting.get(id);
  if (!w) return;
  waiting.delete(id);
  if (error) w.fail(new Error(error.message)); else w.done(result);
};
const call = (method, params = {}, sessionId = undefined) => new Promise((done, fail) => {
  waiting.set(++last, { done, fail });
  socket.send(JSON.stringify({ id: last, method, params, sessionId }));
});
const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
const tab = (method, params) => call(method, params, sessionId);
await tab('Page.enable');
// The messages are of one moment: Slack's "today" is that day.
await tab('Page.addScriptToEvaluateOnNewDocument', { source: `{ const real = Date, off = ${Date.UTC(2026, 10, 22, 12)} - real.now();
  Date = class extends real { constructor(...a) { if (a.length) super(...a); else super(real.now() + off); } static now() { return real.now() + off; } }; }` });

// shoot waits until the page has said how high it is, and gives it that height.
async function shoot(page, png, width) {
  await tab('Emulation.setDeviceMetricsOverride', { width, height: 60, deviceScaleFactor: 1, mobile: false });
  const load = new Promise((done) => { loaded = done; });
  await tab('Page.navigate', { url: pathToFileURL(page).href });
  await load;
  const { result } = await tab('Runtime.evaluate', { awaitPromise: true, returnByValue: true, expression: `new Promise((done) => {
    const look = () => { const e = document.documentElement.outerHTML.match(/data-height="(\\d+)"/);
      if (!e) return setTimeout(look, 20);
      done([+e[1], +(document.documentElement.outerHTML.match(/data-broken="(\\d+)"/)?.[1] ?? 0), document.documentElement.scrollWidth]); };
    look(); })` });
  const [height, broken, wide] = result.value;
  await tab('Emulation.setDeviceMetricsOverride', { width, height: Math.max(height + 8, 60), deviceScaleFactor: 1, mobile: false });
  const { data } = await tab('Page.captureScreenshot', { format: 'png' });
  writeFileSync(png, Buffer.from(data, 'base64'));
  if (broken) { console.error(`${png}: a block could not be drawn`); process.exitCode = 1; }
  if (wide > width) console.error(`${png}: ${wide} px wide on ${width}`);
}

// around is a page as it is around a message's data, and what of the data is the page's own.
const data = /<script>window\.__DATA__=(.*?)<\/script>/s;
const around = Object.fromEntries(['light', 'dark'].map((theme) => {
  const html = readFileSync(join(pages, theme + '.html'), 'utf8');
  return [theme, { html, own: JSON.parse(html.match(data)[1]) }];
}));
const inline = (v) => {
  if (Array.isArray(v)) return v.map(inline);
  if (!v || typeof v !== 'object') return v;
  // The drawer shows text that is verbatim as it was written, marks and all; Slack does not.
  const { slack_file, verbatim, ...rest } = Object.fromEntries(Object.entries(v).map(([k, x]) => [k, inline(x)]));
  if (!slack_file) return rest;
  const png = join(assets, slack_file.id + '.png');
  if (!existsSync(png)) throw new Error(`there is no ${png}`);
  return { ...rest, image_url: 'data:image/png;base64,' + readFileSync(png).toString('base64') };
};
let n = 0;
for (const message of messages) {
  const [name, file] = message.split('=');
  const p = load(file), page = join(pages, 'page.html');
  for (const [kind, theme, width] of [['light', 'light', 760], ['dark', 'dark', 760], ['phone', 'light', 380]]) {
    const { html, own } = around[theme];
    const json = JSON.stringify({ ...own, ...p, raw: undefined, blocks: inline(p.blocks), theme }).replaceAll('<', '\\u003c');
    writeFileSync(page, html.replace(data, () => `<script>window.__DATA__=${json}</script>`));
    await shoot(page, resolve(out, `${name}-${kind}.png`), width);
    n++;
  }
}
console.error(`${n} pictures in ${out}`);
socket.close();
browser.kill();
await new Promise((done) => browser.on('exit', done));
rmSync(profile, { recursive: true, force: true });
