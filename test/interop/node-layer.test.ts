/**
 * What exchanges and clients do over HTTP/2, once more over node:http2 (`--http2 node`): the part of the suite that
 * reaches every call of that layer in seconds. The long form runs all that reaches HTTP/2 through a socket.
 */
import '../support/node-layer.ts';
import '../http/exchange/http2.test.ts';
import '../http/exchange/late-body.test.ts';
import '../http/exchange/push.test.ts';
import '../http/front/front-end.test.ts';
import './nghttp.test.ts';
import './node-clients.test.ts';
