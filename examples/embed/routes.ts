/** mini-async-http's router: methods, parameters, and an answer of its own for everything else. */
import { Reason, ResponseBuilder, Router } from 'lgateway';

const routes: Router = new Router()
  .get('/hello/{name}', (_request, { name }) => new Response(`Hello ${name}!\n`))
  .post('/hello', async (request) => new Response(`Hello ${await request.text()}!\n`))
  .any('/method', (request) => new Response(`${request.method}\n`))
  .get('/json', (request) => Response.json({ agent: request.headers.get('user-agent')?.split('/')[0] }))
  .get('/empty', () => ResponseBuilder.empty200().contentType('text/plain').build())
  .notFound((request) =>
    new ResponseBuilder()
      .status(Reason.notFound404)
      .body(`There is nothing at ${new URL(request.url).pathname}\n`)
      .build(),
  );

export default routes;
