/** The pages in a real browser: from the welcome page to a stored file with the right SHA-256. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { HandlersGateway } from './handlers-gateway.ts';

let gateway: HandlersGateway;
let browser: Browser;

before(async () => {
  gateway = new HandlersGateway(2);
  browser = new Browser();
  await Promise.all([gateway.process.ready(), browser.start()]);
});
after(async () => {
  await Promise.all([browser?.stop(), gateway?.stop()]);
});

/** Makes a file of random bytes; returns its path and its SHA-256. */
function makeFile(name: string, size: number): { path: string; sha256: string } {
  const bytes = randomBytes(size);
  const path = gateway.folder.file(name);
  writeFileSync(path, bytes);
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') };
}

test('The welcome page leads to the upload page, which stores a chosen file and shows its SHA-256', async () => {
  const photo = makeFile('holiday <b>.jpg', 3_000_000);
  await browser.open(`${gateway.url}/`);
  assert.equal(await browser.evaluate('document.querySelector("h1").textContent'), 'lgateway');
  await browser.evaluate(`document.querySelector('a[href="/upload"]').click()`);
  await browser.waitFor(`location.pathname === '/upload' && document.readyState === 'complete'`);
  await browser.chooseFiles('#file', [photo.path]);
  assert.equal(await browser.waitFor(`document.querySelector('.sha256')?.textContent`), photo.sha256);
  assert.match(
    String(await browser.evaluate(`document.querySelector('#jobs .good').textContent`)),
    /2\.9 MiB stored; the SHA-256 is the one your browser computed/,
  );
  assert.equal(await browser.evaluate(`document.querySelector('#jobs progress').value`), 1);
  await browser.waitFor(`document.querySelector('#list').textContent.includes('${photo.sha256}')`);
  assert.ok(await browser.evaluate(`document.querySelector('#list a').textContent === 'holiday <b>.jpg'`));
  assert.deepEqual(browser.complaints, []);
});

test('Files dropped on the upload page are stored one after the other', async () => {
  const files = [makeFile('one.bin', 10), makeFile('two.bin', 70_000), makeFile('empty.bin', 0)];
  await browser.open(`${gateway.url}/upload`);
  await browser.dropFiles(
    '#drop',
    files.map(({ path }) => path),
  );
  await browser.waitFor(`document.querySelectorAll('#jobs .good').length === 3`);
  for (const { sha256 } of files)
    await browser.waitFor(`document.querySelector('#list').textContent.includes('${sha256}')`);
  assert.deepEqual(browser.complaints, []);
});

test('The clock page shows the time as it comes in', async () => {
  await browser.open(`${gateway.url}/clock`);
  const first = await browser.waitFor(
    `document.querySelector('#clock').textContent.match(/\\d\\d:\\d\\d:\\d\\d/)?.[0]`,
  );
  await browser.waitFor(`document.querySelector('#clock').textContent !== '${String(first)}'`);
  assert.deepEqual(browser.complaints, []);
});

test('No page is wider than a phone, in light and dark', async () => {
  for (const path of ['/', '/environment', '/upload', '/push', '/clock', '/counter', '/shared', '/gather']) {
    for (const scheme of ['light', 'dark'] as const) {
      await browser.open(`${gateway.url}${path}`);
      assert.ok((await browser.screenshot(scheme, 390)).length > 0);
      assert.equal(await browser.evaluate('document.documentElement.scrollWidth'), 390, `${path} ${scheme}`);
    }
  }
});
