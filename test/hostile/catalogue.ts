/** Everybody who misbehaves, by group. */
import { ADMIN, onAdmin } from './clients/admin.ts';
import { FILES } from './clients/files.ts';
import { FORMS } from './clients/forms.ts';
import { HTTP1 } from './clients/http1.ts';
import { HTTP2 } from './clients/http2.ts';
import { CLIENT_LIMIT_ENTRIES } from './clients/limits.ts';
import { behindProxy, PROXY_HEADS } from './clients/proxy-heads.ts';
import { ROUTING } from './clients/routing.ts';
import { TLS } from './clients/tls.ts';
import { WEBSOCKET } from './clients/websocket.ts';
import type { Entry, HostileClient, HostileScript } from './offender.ts';
import { ERRORS } from './scripts/errors.ts';
import { FUNCTIONS } from './scripts/functions.ts';
import { HOST, SANDBOX } from './scripts/host.ts';
import { SCRIPT_LIMITS } from './scripts/limits.ts';
import { LOOPS } from './scripts/loops.ts';
import { MEMORY } from './scripts/memory.ts';
import { PATTERNS } from './scripts/patterns.ts';
import { REQUESTS } from './scripts/requests.ts';
import { ROOT } from './scripts/root.ts';

const OF_ALL_LISTENERS: readonly HostileClient[] = [
  ...TLS,
  ...HTTP1,
  ...HTTP2,
  ...WEBSOCKET,
  ...FORMS,
  ...ROUTING,
  ...FILES,
  ...CLIENT_LIMIT_ENTRIES,
];

export async function catalogue(): Promise<readonly Entry[]> {
  return [
    ...scripts('time', LOOPS),
    ...scripts('one call that does not end', PATTERNS),
    ...scripts('memory', MEMORY),
    ...scripts('errors and recursion', ERRORS),
    ...scripts('requests', REQUESTS),
    ...scripts('the host', HOST),
    ...scripts('every function with extreme arguments', FUNCTIONS),
    ...scripts('limits of scripts', SCRIPT_LIMITS),
    ...scripts('below a root', ROOT),
    ...scripts('the sandbox', SANDBOX),
    ...clients('TLS and connections', TLS),
    ...clients('HTTP/1.1', HTTP1),
    ...clients('HTTP/2', HTTP2),
    ...clients('WebSockets', WEBSOCKET),
    ...clients('forms', FORMS),
    ...clients('paths and hosts', ROUTING),
    ...clients('files of a folder', FILES),
    ...clients('limits of clients', CLIENT_LIMIT_ENTRIES),
    ...clients('PROXY heads', PROXY_HEADS),
    ...clients('all of these behind a proxy', behindProxy(OF_ALL_LISTENERS)),
    ...clients('the admin listener', ADMIN),
    ...clients('what has no place at the admin listener', onAdmin([...TLS, ...HTTP1, ...FORMS, ...ROUTING])),
  ];
}

function scripts(group: string, offenders: readonly HostileScript[]): Entry[] {
  return offenders.map((offender) => ({ kind: 'script', group, offender }));
}

function clients(group: string, offenders: readonly HostileClient[]): Entry[] {
  return offenders.map((offender) => ({ kind: 'client', group, offender }));
}
