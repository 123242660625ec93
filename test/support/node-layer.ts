/** Imported before anything that asks for the HTTP/2 layer of the tests: it is node:http2 then. */
process.env['LGATEWAY_TEST_HTTP2'] = 'node';
