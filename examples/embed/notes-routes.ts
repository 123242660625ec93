/** A JSON API: notes that all threads share. Reading is free, writing takes the key; whatever fails is JSON, too. */
import { type HandlerContext, Router } from 'lgateway';

interface Note {
  readonly id: number;
  readonly text: string;
}

const KEY = process.env['NOTES_KEY'] ?? 'sesame';
const TEXT_LENGTH_MAX = 1000;

class BadRequest extends Error {}

const fail = (status: number, error: string): Response => Response.json({ error }, { status });

async function readText(request: Request): Promise<string> {
  const value: unknown = await request.json().catch(() => undefined);
  const text = typeof value === 'object' && value !== null && 'text' in value ? value.text : undefined;
  if (typeof text !== 'string' || text.length > TEXT_LENGTH_MAX)
    throw new BadRequest(`{"text": …} of at most ${TEXT_LENGTH_MAX} characters was expected`);
  return text;
}

function find(context: HandlerContext, id: string): Note | undefined {
  const text = context.shared('notes').get(id);
  return typeof text === 'string'
    ? { id: Number(id), text: Buffer.from(text, 'latin1').toString() }
    : undefined;
}

function store(context: HandlerContext, { id, text }: Note): void {
  // the strings of a dictionary are bytes
  context.shared('notes').set(String(id), Buffer.from(text).toString('latin1'));
}

const notes: Router = new Router()
  .use((request, next) => {
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    const isAllowed = isReading || request.headers.get('authorization') === `Bearer ${KEY}`;
    return isAllowed ? next() : fail(401, 'writing takes the key');
  })
  .get('/', (_request, _params, context) => {
    const ids = context
      .shared('notes')
      .keys()
      .map(Number)
      .sort((a, b) => a - b);
    return Response.json(ids.flatMap((id) => find(context, String(id)) ?? []));
  })
  .post('/', async (request, _params, context) => {
    const text = await readText(request);
    const note = { id: Number(context.shared('numbers').incr('note', 1, { init: 0 })), text };
    store(context, note);
    return Response.json(note, { status: 201, headers: { location: `/api/notes/${note.id}` } });
  })
  .get('/{id}', (_request, { id }, context) => {
    const note = find(context, id);
    return note === undefined ? fail(404, `there is no note ${id}`) : Response.json(note);
  })
  .delete('/{id}', (_request, { id }, context) =>
    context.shared('notes').delete(id)
      ? new Response(null, { status: 204 })
      : fail(404, `there is no note ${id}`),
  );

const api: Router = new Router({ base: '/api' })
  .use(async (_request, next) => {
    const response = await next();
    response.headers.set('cache-control', 'no-store');
    return response;
  })
  .onError((error, request, { logger }) => {
    if (error instanceof BadRequest) return fail(400, error.message);
    logger.error(`${request.method} ${request.url} failed: ${String(error)}`);
    return fail(500, 'it is our fault, and stands in the log');
  })
  .notFound(() => fail(404, 'there is nothing here'))
  .mount('/notes', notes);

export default api;
