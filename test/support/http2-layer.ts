/** Which HTTP/2 layer the gateways of the tests have: `LGATEWAY_TEST_HTTP2=own npm test` runs all over our own. */
import { DEFAULT_HTTP2_LAYER, HTTP2_LAYERS, type Http2Layer } from '../../src/config/config.ts';

const wanted = process.env['LGATEWAY_TEST_HTTP2'];

export const TEST_HTTP2_LAYER: Http2Layer =
  HTTP2_LAYERS.find((layer) => layer === wanted) ?? DEFAULT_HTTP2_LAYER;

if (wanted !== undefined && wanted !== TEST_HTTP2_LAYER)
  throw new Error(`LGATEWAY_TEST_HTTP2 is "${wanted}" (one of ${HTTP2_LAYERS.join(', ')} was expected)`);
