/** A server behind the gateway, in a process of its own that can be killed and frozen. Arguments: its port. */
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  // a connection of the gateway that waits longer than this server keeps it would be closed amid a request
  response.end(`upstream ${request.url}`);
});
server.keepAliveTimeout = 0;
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.send?.('listening'));
