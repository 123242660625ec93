/** HostRouter: which mappings the host of a request has, in which order, and what it costs clients that name many hosts. */
import { equal, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLogger } from '../../../src/base/logger.ts';
import type { Handler, Mapping } from '../../../src/http/exchange/handler.ts';
import { HostRouter } from '../../../src/http/routing/host-router.ts';
import type { AutomaticAnswer } from '../../../src/http/routing/method-table.ts';
import { HandlerTable } from '../../../src/script/context/handler-table.ts';
import { inForm } from '../../support/test-form.ts';
import { functionMapping } from '../../support/test-front-end.ts';

function hosted(host: string | undefined, prefix: string, names: readonly string[]): Mapping {
  return { ...functionMapping(prefix, Object.fromEntries(names.map((name) => [name, () => {}]))), host };
}

/** Returns `host prefix : handler`, or `none`. */
function find(router: HostRouter, authority: string, path: string): string {
  const route = router.of(authority).match(path, undefined, 'GET');
  if (route === undefined) return 'none';
  return `${route.mapping.host ?? '-'} ${route.prefix} : ${route.handlerName}`;
}

test('HostRouter.of() compares hosts without port, case and the dot at the end', () => {
  const names = ['/x'];
  const router = new HostRouter([
    hosted(undefined, '/', names),
    hosted('example.com', '/', names),
    hosted('*.example.com', '/', names),
    hosted('*.deep.example.com', '/', names),
    hosted('xn--bcher-kva.example', '/', names),
    hosted('192.0.2.1', '/', names),
    hosted('[2001:db8::1]', '/', names),
  ]);
  for (const [authority, host] of [
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com:8443', 'example.com'],
    ['example.com:', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com.:443', 'example.com'],
    ['example.com..', '-'],
    ['www.example.com', '*.example.com'],
    ['a.b.example.com', '*.example.com'],
    ['deep.example.com', '*.example.com'],
    ['a.deep.example.com', '*.deep.example.com'],
    ['.example.com', '-'],
    ['wwwexample.com', '-'],
    ['*.example.com', '*.example.com'],
    ['xn--bcher-kva.EXAMPLE', 'xn--bcher-kva.example'],
    ['b%C3%BCcher.example', '-'],
    ['192.0.2.1:1', '192.0.2.1'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['[2001:DB8:0:0:0:0:0:1]:8443', '[2001:db8::1]'],
    ['[::ffff:192.0.2.1]', '192.0.2.1'],
    ['[2001:db8::2]', '-'],
    ['[v1.x]', '-'],
    ['[', '-'],
    ['', '-'],
    [':443', '-'],
    [`${'a'.repeat(300)}.example.com`, '-'],
  ] as const) {
    strictEqual(find(router, authority, '/x'), `${host} / : /x`, authority);
    // the second time from memory
    strictEqual(find(router, authority, '/x'), `${host} / : /x`, authority);
  }
});

test('HostRouter.of() asks the mappings of the host, then wider ones, then those of any host, and /notfound last', () => {
  const router = new HostRouter([
    hosted(undefined, '/', ['/all', '/notfound']),
    hosted(undefined, '/deep', ['/all']),
    hosted('*.a.example', '/', ['/wide', '/x']),
    hosted('www.a.example', '/', ['/x']),
    hosted('b.example', '/', ['/notfound']),
  ]);
  for (const [authority, path, found] of [
    ['www.a.example', '/x', 'www.a.example / : /x'],
    ['www.a.example', '/wide', '*.a.example / : /wide'],
    ['www.a.example', '/deep/all', '- /deep : /all'],
    ['www.a.example', '/nothing', '- / : /notfound'],
    ['b.example', '/all', '- / : /all'],
    ['b.example', '/nothing', 'b.example / : /notfound'],
    ['c.example', '/wide', '- / : /notfound'],
    ['c.example', '/all', '- / : /all'],
  ] as const)
    strictEqual(find(router, authority, path), found, `${authority}${path}`);
});

test('HostRouter.isStranger() is true where mappings name hosts and none is for this one', () => {
  const named = [hosted('a.example', '/', ['/x'])];
  const router = new HostRouter(named);
  equal(router.isStranger('b.example'), true);
  equal(router.isStranger('a.example'), false);
  equal(router.isStranger(''), false);
  router.replace([...named, hosted(undefined, '/y', ['/x'])]);
  equal(router.isStranger('b.example'), false);
  router.replace([]);
  equal(router.isStranger('b.example'), false);
});

test('HostRouter.of() looks at no more labels than mappings with a star have', () => {
  const router = new HostRouter([hosted('*.a.example', '/', ['/x']), hosted('b.example', '/', ['/x'])]);
  const host = `${'x.'.repeat(120)}example`;
  let gets = 0;
  const { get } = Map.prototype;
  Map.prototype.get = function (this: Map<unknown, unknown>, key: unknown): unknown {
    gets += 1;
    return get.call(this, key);
  };
  try {
    router.of(host);
  } finally {
    Map.prototype.get = get;
  }
  // the authority, the host, and two with a star
  equal(gets, 4);
});

const AUTOMATIC: AutomaticAnswer = (status, allow) => named(`${status} ${allow}`);
const labels = new WeakMap<Handler, string>();

function named(label: string): Handler {
  const handler = { handle: () => undefined };
  labels.set(handler, label);
  return handler;
}

interface Registered {
  readonly name: string;
  readonly methods: readonly string[] | undefined;
}

interface Site {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly handlers: readonly Registered[];
}

function tableMapping({ host, prefix, handlers }: Site, number: number): Mapping {
  const table = new HandlerTable(
    createLogger('error', 'test', () => undefined),
    prefix,
    AUTOMATIC,
  );
  for (const [i, { name, methods }] of handlers.entries()) {
    const admitted = table.admit(name, methods);
    if (typeof admitted === 'object' && 'methods' in admitted)
      table.register(name, admitted, named(`${number}.${i}`));
  }
  return {
    host,
    prefix,
    answersAll: false,
    find: (name) => table.find(name),
    findPattern: (name, method) => table.findPattern(name, method),
  };
}

/** What answers, by the rules of the manual, written down without regard to speed. */
function modelAnswer(sites: readonly Site[], host: string, path: string, method: string): string {
  const layers = [
    sites.filter((site) => site.host === host),
    ...['*.b.example', '*.example']
      .filter((wide) => host.endsWith(wide.slice(1)))
      .map((wide) => sites.filter((site) => site.host === wide)),
    sites.filter((site) => site.host === undefined),
  ];
  const asked: { site: Site; name: string; exactOnly: boolean }[] = [];
  for (const layer of layers) {
    const root = layer.find(({ prefix }) => prefix === '/');
    if (root !== undefined && path.lastIndexOf('/') === 0)
      asked.push({ site: root, name: path, exactOnly: true });
    for (const site of [...layer].sort((a, b) => b.prefix.length - a.prefix.length)) {
      if (site.prefix === '/') asked.push({ site, name: path, exactOnly: false });
      else if (`${path}/`.startsWith(`${site.prefix}/`))
        asked.push({ site, name: path.slice(site.prefix.length) || '/', exactOnly: false });
    }
  }
  for (const { site, name, exactOnly } of asked) {
    const own = answerOf(sites, site, (registered) => registered === name, method);
    if (own !== undefined) return own;
    if (exactOnly) continue;
    const shapes = [...new Set(site.handlers.map((one) => shapeOf(one.name)))]
      .filter(
        (shape) =>
          shape.includes('{') &&
          new RegExp(`^${shape.split('/').map(segmentRegExp).join('/')}$`, 's').test(name),
      )
      .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    const [best] = shapes;
    if (best !== undefined)
      return answerOf(sites, site, (registered) => shapeOf(registered) === best, method) as string;
  }
  for (const { site, exactOnly } of asked) {
    const last = exactOnly ? undefined : answerOf(sites, site, (name) => name === '/notfound', method);
    if (last !== undefined) return last;
  }
  return 'none';
}

const shapeOf = (name: string): string => name.replace(/\{\w+(\.\.\.)?\}/g, '{$1}');
const segmentRegExp = (segment: string): string => ({ '{}': '[^/]+', '{...}': '.+' })[segment] ?? segment;
const rank = (shape: string): string =>
  shape
    .split('/')
    .map((segment) => ({ '{}': '1', '{...}': '2' })[segment] ?? '0')
    .join('');

/** Which of a site's handlers that `fits` takes the method: the first one that asked for it, that for all, GET for HEAD, or the gateway. */
function answerOf(
  sites: readonly Site[],
  site: Site,
  fits: (name: string) => boolean,
  method: string,
): string | undefined {
  const those = [...site.handlers.entries()].filter(([, { name }]) => fits(name));
  if (those.length === 0) return undefined;
  const label = (found: (typeof those)[number] | undefined): string | undefined =>
    found === undefined ? undefined : `${sites.indexOf(site)}.${found[0]}`;
  const taking = (wanted: string) => those.find(([, { methods }]) => methods?.includes(wanted) === true);
  const found =
    label(taking(method)) ??
    label(those.find(([, { methods }]) => methods === undefined)) ??
    (method === 'HEAD' ? label(taking('GET')) : undefined);
  if (found !== undefined) return found;
  const all = new Set(those.flatMap(([, { methods }]) => methods ?? []));
  if (all.has('GET')) all.add('HEAD');
  const allow = [...all.add('OPTIONS')].sort().join(', ');
  return `${method === 'OPTIONS' ? 204 : 405} ${allow}`;
}

test('Hosts, mappings, patterns and methods together choose what a plain model chooses', () => {
  const segment = fc.constantFrom('a', 'b', 'c');
  const paths = fc
    .array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.join('/')}`)
    .filter((path) => !path.startsWith('//'));
  const names = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', '{}'), { minLength: 1, maxLength: 3 }), fc.boolean(), fc.nat(2))
    .map(([parts, isOpen, salt]) => {
      const texts = parts.map((part, i) => (part === '{}' ? `{p${salt}${i}}` : part));
      return `/${[...texts, ...(isOpen ? ['{rest...}'] : [])].join('/')}`;
    });
  const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE'] as const;
  const methods = fc.option(fc.subarray([...METHODS], { minLength: 1 }), { nil: undefined });
  const handler = fc.record({
    name: fc.oneof({ weight: 6, arbitrary: names }, fc.constantFrom('/', '/notfound')),
    methods,
  });
  const site = fc.record({
    host: fc.constantFrom(undefined, 'a.b.example', 'b.example', '*.b.example', '*.example'),
    prefix: fc.array(segment, { maxLength: 2 }).map((parts) => `/${parts.join('/')}`),
    handlers: fc.array(handler, { maxLength: 6 }),
  });
  const asked = fc.record({
    host: fc.constantFrom('a.b.example', 'b.example', 'c.b.example', 'x.y.example', 'other'),
    path: paths,
    method: fc.constantFrom(...METHODS),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(site, { maxLength: 6, selector: ({ host, prefix }) => `${host}${prefix}` }),
      fc.array(asked, { minLength: 1, maxLength: 10 }),
      (sites, requests) => {
        const router = new HostRouter(sites.map(tableMapping));
        for (const { host, path, method } of requests) {
          const route = router.of(`${host.toUpperCase()}.:443`).match(path, undefined, method);
          const actual = route === undefined ? 'none' : labels.get(route.handler);
          // a name without methods is a table of methods only once another of its name asks for some
          const handlers = route === undefined ? undefined : answeredBy(route.handler, method);
          strictEqual(handlers ?? actual, modelAnswer(sites, host, path, method), `${method} ${host}${path}`);
        }
      },
    ),
    { numRuns: inForm(700, 4000) },
  );
});

/** What a table of methods picks; undefined where the handler is none. */
function answeredBy(handler: Handler, method: string): string | undefined {
  return 'pick' in handler
    ? labels.get((handler as unknown as { pick(method: string): { handler: Handler } }).pick(method).handler)
    : undefined;
}
