/** The pages in a real browser: from the welcome page to a stored file with the right SHA-256. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { HandlersGateway } from './handlers-gateway.ts';

const PROGRAMS = ['/form', '/login', '/api', '/webhook', '/chat', '/dashboard', '/proxy', '/site/'];
/** Asks until both backends have answered: that the same one answers so often comes once in 500 million times. */
const ASKS_MAX = 30;

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

/** Follows the card of the welcome page that leads to `path`. */
async function openFromWelcomePage(path: string): Promise<void> {
  await browser.open(`${gateway.url}/`);
  await browser.evaluate(`document.querySelector('a[href="${path}"]').click()`);
  await browser.waitFor(`location.pathname.startsWith('${path}') && document.readyState === 'complete'`);
}

/** Text of the element that `selector` finds, as soon as it holds `text`. */
async function seeText(selector: string, text: string): Promise<void> {
  await browser.waitFor(
    `document.querySelector('${selector}')?.textContent.includes(${JSON.stringify(text)})`,
  );
}

test('The form page sends a title and files, shows what was stored, and names the limit that a file exceeds', async () => {
  const files = [makeFile('<i>one.bin', 70_000), makeFile('two.bin', 10)];
  await openFromWelcomePage('/form');
  await browser.evaluate(`document.querySelector('[name=title]').value = 'Two <b>'`);
  await browser.chooseFiles(
    '[type=file]',
    files.map(({ path }) => path),
  );
  await browser.evaluate(`document.querySelector('form button').click()`);
  await seeText('[role=alert]', 'Stored: Two <b>');
  assert.deepEqual(
    await browser.evaluate(`[...document.querySelectorAll('#sent li')].map((li) => li.textContent)`),
    ['<i>one.bin, 68.4 KiB', 'two.bin, 10 B'],
  );
  for (const { sha256 } of files) await seeText('.files', sha256);
  assert.deepEqual(browser.complaints, []);
  await browser.chooseFiles('[type=file]', [makeFile('long.bin', 8 * 1024 * 1024 + 1).path]);
  await browser.evaluate(`document.querySelector('form button').click()`);
  await seeText('[role=alert]', 'Not stored: long.bin: The file is longer than the limit of 8388608 bytes');
  browser.complaints.length = 0;
});

test('The login page refuses a wrong password, lets a user in and out', async () => {
  const send = async (password: string): Promise<void> => {
    await browser.evaluate(`document.querySelector('[name=name]').value = 'ada'`);
    await browser.evaluate(`document.querySelector('[name=password]').value = '${password}'`);
    await browser.evaluate(`document.querySelector('form button').click()`);
  };
  await openFromWelcomePage('/login');
  await send('wrong');
  await seeText('[role=alert]', 'Not logged in:');
  browser.complaints.length = 0;
  await send('correct horse battery staple');
  await seeText('#user', 'ada');
  assert.equal(await browser.evaluate('document.cookie'), '', 'scripts do not see the cookie');
  await browser.open(`${gateway.url}/login`);
  await seeText('#user', 'ada');
  await browser.evaluate(`document.querySelector('form button').click()`);
  await browser.waitFor(`document.querySelector('[name=password]') !== null`);
  assert.equal(await browser.evaluate(`document.querySelector('[role=alert]')`), null);
  assert.deepEqual(browser.complaints, []);
});

test('The page of the JSON API adds, changes and deletes notes, and shows why one was refused', async () => {
  await openFromWelcomePage('/api');
  await seeText('#state', 'GET /api/notes → 200');
  const add = async (text: string): Promise<void> => {
    await browser.evaluate(`document.querySelector('#new').text.value = '${text}'`);
    await browser.evaluate(`document.querySelector('#new button').click()`);
  };
  await add('Buy <b>milk</b>');
  await seeText('#list', 'Buy <b>milk</b>');
  await browser.evaluate(`document.querySelector('#list button').click()`);
  await seeText('#list', 'Buy <b>milk</b> (done)');
  assert.equal(await browser.evaluate('document.activeElement.textContent'), 'Reopen', 'the focus stays');
  assert.deepEqual(browser.complaints, []);
  await add('');
  await seeText('#state', '→ 422, The note is not valid: text has to be a string of 1 to 200 characters');
  browser.complaints.length = 0;
  await browser.evaluate(`document.querySelector('[aria-label^="Delete"]').click()`);
  await browser.waitFor(`document.querySelector('#list li') === null`);
  assert.deepEqual(browser.complaints, []);
});

test('The page of the webhook sends a signed delivery once, and shows that a changed one is refused', async () => {
  await openFromWelcomePage('/webhook');
  const [signed, changed] = ['button', 'button + button'];
  await browser.evaluate(`document.querySelector('${signed}').click()`);
  await seeText('#state', '202: Accepted');
  await browser.evaluate(`document.querySelector('${signed}').click()`);
  await seeText('#state', '200: This delivery is known already');
  assert.deepEqual(browser.complaints, []);
  await browser.evaluate(`document.querySelector('${changed}').click()`);
  await seeText('#state', '403: The signature is missing or wrong');
  browser.complaints.length = 0;
  await browser.open(`${gateway.url}/webhook`);
  await seeText('.rows', 'Delivery of');
});

/** Says something on the page of the chat, as a visitor would. */
async function say(text: string): Promise<void> {
  await browser.evaluate(`(() => {
    const form = document.querySelector('#say');
    [form.elements.name.value, form.elements.text.value] = ['Bo', ${JSON.stringify(text)}];
    form.requestSubmit();
  })()`);
}

test('The page of the chat hears what others say in any worker, over WebSocket, also what was said while it was away', async () => {
  await gateway.text('-d name=Ada -d text=before', '/chat');
  await openFromWelcomePage('/chat');
  await seeText('#log', 'before');
  await seeText('#state', 'Connected');
  await say('Hello <b>all</b>');
  await seeText('#log', 'Hello <b>all</b>');
  // each curl has a connection of its own, and may meet the other worker
  for (const text of ['one', 'two', 'three']) await gateway.text(`-d name=Ada -d text=${text}`, '/chat');
  await browser.waitFor(`document.querySelectorAll('#log li').length === 5`);
  assert.deepEqual(browser.complaints, []);
  // behind a socket that ends the page opens another one, which begins where that one ended
  await browser.evaluate(
    `new Promise((resolve) => { socket.addEventListener('close', resolve); socket.close(); })`,
  );
  await gateway.text('-d name=Ada -d text=away', '/chat');
  await browser.waitFor(`document.querySelectorAll('#log li').length === 6`);
  assert.deepEqual(
    await browser.evaluate(
      `[...document.querySelectorAll('#log li')].map((li) => li.children[0].textContent + ': ' + li.children[1].textContent)`,
    ),
    ['Ada: before', 'Bo: Hello <b>all</b>', 'Ada: one', 'Ada: two', 'Ada: three', 'Ada: away'],
  );
  await seeText('#state', 'Connected');
  // more than twice the limit, because a new window of seconds may begin in between
  await browser.evaluate(`for (let i = 0; i < 21; i++) {
    document.querySelector('#say').elements.text.value = 'many';
    document.querySelector('#say').requestSubmit();
  }`);
  await seeText('#state', 'Not sent: More than 10 messages in 10 seconds');
  assert.equal(
    await browser.evaluate(`new Promise((resolve) => {
      const other = new WebSocket('wss://' + location.host + '/chat/socket');
      other.onopen = () => { for (let i = 0; i < 20; i++) other.send('[]'); };
      other.onclose = ({ code, reason }) => resolve(code + ' ' + reason);
    })`),
    '1008 too many messages were refused',
  );
  assert.deepEqual(browser.complaints, []);
});

test('The dashboard shows the events of all workers, and misses none over a reload of the scripts', async () => {
  await openFromWelcomePage('/dashboard');
  await seeText('#state', 'Live');
  await browser.evaluate(`document.querySelector('[value=order]').click()`);
  await seeText('#counted', '1 received · 0 missed');
  await gateway.text('-d kind=alarm', '/dashboard');
  await seeText('#list', 'alarm 1');
  gateway.process.signal('SIGHUP');
  await gateway.text('-d kind=signup', '/dashboard?[1-20]');
  await seeText('#counted', 'connected 2×');
  await gateway.text('-d kind=order', '/dashboard');
  await seeText('#counted', '23 received · 0 missed');
  assert.deepEqual(
    await browser.evaluate(
      `[...document.querySelectorAll('.tiles .big')].map((element) => element.textContent)`,
    ),
    ['2', '20', '1'],
  );
  assert.equal(await browser.evaluate(`document.querySelectorAll('#list li').length`), 8);
  assert.deepEqual(browser.complaints, []);
});

test('The page of the proxy shows which backends are well, and takes one out without an error', async () => {
  await openFromWelcomePage('/proxy');
  await seeText('#one', 'not asked yet');
  const ask = async (): Promise<string> => {
    await browser.evaluate(`document.querySelector('#state').textContent = ''`);
    await browser.evaluate(`document.querySelector('#ask').click()`);
    return String(await browser.waitFor(`document.querySelector('#state').textContent`));
  };
  await ask();
  // the checks of the gateway
  await browser.waitFor(
    `/^✗ [1-9]\\d* of \\d+ checks failed$/.test(document.querySelector('#three .bad')?.textContent)`,
  );
  await browser.waitFor(
    `/^✓ 0 of [1-9]\\d* checks failed$/.test(document.querySelector('#one .good')?.textContent)`,
  );
  // chance chooses between two that are idle
  const answers = new Set<string>();
  for (let i = 0; i < ASKS_MAX && answers.size < 2; i++)
    answers.add((await ask()).replace(/ in worker \d/, ''));
  assert.deepEqual([...answers].sort(), [
    '200: Backend one: GET /app/hello\n',
    '200: Backend two: GET /app/hello\n',
  ]);
  await browser.evaluate(`document.querySelector('#one button').click()`);
  await browser.waitFor(`document.querySelector('#one .bad') !== null`);
  for (let i = 0; i < 3; i++) assert.match(await ask(), /^200: Backend two/);
  await browser.evaluate(`document.querySelector('#one button').click()`);
  await browser.waitFor(`document.querySelector('#one .good') !== null`);
  assert.deepEqual(browser.complaints, []);
});

test('The static site has its style sheet and its pages', async () => {
  await openFromWelcomePage('/site');
  assert.equal(await browser.evaluate('location.pathname'), '/site/');
  assert.equal(await browser.evaluate('document.querySelector("h1").textContent'), 'A static site');
  assert.equal(await browser.evaluate('document.styleSheets[0].cssRules.length > 5'), true);
  await browser.evaluate(`document.querySelector('a[href="/site/about/"]').click()`);
  await seeText('h1', 'About');
  assert.deepEqual(browser.complaints, []);
  await browser.open(`${gateway.url}/site/nothing`);
  await seeText('h1', 'There is no such page');
  browser.complaints.length = 0;
});

/** What keeps somebody from using a page: fields without a label, a heading left out, one id twice, text hard to read. */
const FAULTS = `(() => {
  const faults = [];
  for (const field of document.querySelectorAll('input, select, textarea'))
    if (field.labels.length === 0 && !field.ariaLabel) faults.push('no label: ' + field.outerHTML);
  for (const button of document.querySelectorAll('button, a'))
    if (!(button.ariaLabel ?? button.textContent).trim()) faults.push('no name: ' + button.outerHTML);
  let level = 0;
  for (const { tagName } of document.querySelectorAll('h1, h2, h3, h4')) {
    if (Number(tagName[1]) > level + 1) faults.push(tagName + ' follows h' + level);
    level = Number(tagName[1]);
  }
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  if (!document.documentElement.lang || !document.title) faults.push('no language or title');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  if (new Set(ids).size < ids.length) faults.push('an id twice');
  const light = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    const linear = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return { y: 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], a };
  };
  for (const element of document.querySelectorAll('main *, .top *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (element.closest('.hero, script, svg')) continue;
    let behind = element;
    while (behind && light(getComputedStyle(behind).backgroundColor).a < 1) behind = behind.parentElement;
    const [one, two] = [light(getComputedStyle(element).color).y, light(getComputedStyle(behind ?? document.body).backgroundColor).y];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (contrast < 4.5) faults.push('contrast ' + contrast.toFixed(1) + ': ' + element.outerHTML.slice(0, 100));
  }
  return faults;
})()`;

test('No page is wider than a phone, and each can be read and used, in light and dark', async () => {
  for (const path of [
    '/',
    '/environment',
    '/upload',
    '/push',
    '/clock',
    '/counter',
    '/shared',
    '/gather',
    ...PROGRAMS,
  ]) {
    await browser.open(`${gateway.url}${path}`);
    for (const scheme of ['light', 'dark'] as const) {
      await browser.show(scheme, 390);
      assert.equal(await browser.evaluate('document.documentElement.scrollWidth'), 390, `${path} ${scheme}`);
      assert.deepEqual(await browser.evaluate(FAULTS), [], `${path} ${scheme}`);
    }
  }
});
