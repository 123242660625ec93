/** mini_http's hello on a socket that somebody else opened: `systemd-socket-activate -l 3000 node dist/examples/embed/preopened.js`. */
import { Server } from 'lgateway';

await Server.preopened().start(() => new Response('Hello from a preopened socket!\n'));
