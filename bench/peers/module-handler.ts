/** The handler of the module scenario: like most handlers it sends a text and one field. */

// biome-ignore lint/style/noDefaultExport: handler modules have one
export default function hello(): Response {
  return new Response('Hello from the bench', { headers: { 'content-type': 'text/plain' } });
}
