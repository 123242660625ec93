/** The handler of the module scenario: what most handlers are, a text and one field. */

// biome-ignore lint/style/noDefaultExport: handler modules have one
export default function hello(): Response {
  return new Response('Hello from the bench', { headers: { 'content-type': 'text/plain' } });
}
