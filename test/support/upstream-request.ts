/** A request for an upstream that asks for nothing special, for tests that are about connections. */
import type { UpstreamRequest } from '../../src/proxy/upstream.ts';

export const PLAIN_REQUEST: UpstreamRequest = {
  method: 'GET',
  target: '/',
  authority: 'a',
  fields: [],
  hasBody: false,
  declaredLength: undefined,
  announcesTrailers: false,
  takesTrailers: false,
  upgrade: undefined,
  isIdempotent: true,
  memo: undefined,
};
