/** Serves routes.ts in every thread, beside a Lua script. */
import { fileURLToPath } from 'node:url';
import { createServer } from 'lgateway';

const server = createServer({
  address: process.argv[2] ?? '127.0.0.1:3000',
  threads: 2,
  mappings: [
    { prefix: '/', module: new URL('./routes.js', import.meta.url) },
    // beside the compiled program lies no script: dist/examples/embed/ → examples/
    {
      prefix: '/lua',
      script: fileURLToPath(new URL('../../../examples/readme-minimal/script.lua', import.meta.url)),
    },
  ],
});

await server.start();
