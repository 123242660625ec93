/** mini_http's hello: a function that answers everything, in the thread of the program. */
import { ResponseBuilder, Server } from 'lgateway';

await new Server(process.argv[2] ?? '127.0.0.1:3000')
  .noDelay(true)
  .start(() => new ResponseBuilder().status(200).body('Hello!\n').build());
