/** mini_http's echo: the body of the request comes back while it is still arriving. */
import { createServer, ResponseBuilder } from 'lgateway';

const HELP = "Send me data!\n`curl localhost:3000 -i -d 'data'`\n";

const server = createServer({ address: process.argv[2] ?? '127.0.0.1:3000' }, (request) =>
  new ResponseBuilder()
    .status(200)
    .header('x-what-up', 'Nothin')
    .body(request.body ?? HELP)
    .build(),
);

await server.start();
