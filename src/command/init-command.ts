/** `lgateway init`: a project to begin with. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../config/usage-error.ts';
import type { Outcome } from './outcome.ts';
import { writeNewFiles } from './write-new-files.ts';

const CONFIG = `# lgateway --config lgateway.toml; "lgateway check --config lgateway.toml" looks at it first
address = "127.0.0.1"
port = 8443
access-log = true

# without it, a certificate for development is made
# [[certificate]]
# cert = "cert.pem"
# key = "key.pem"

[[lua]]
prefix = "/"
script = "app.lua"
`;

const SCRIPT = `-- Greets whoever asks: curl -k https://localhost:8443/
local httpd = require("httpd")

httpd.register_handler("/", function()
    httpd.header {[":status"] = 200, ["content-type"] = "text/plain; charset=utf-8"}
    httpd.write(nil, "Hello from Lua\\n")
end)
`;

const IGNORED = `*.pem
*.pid
*.log
`;

/** Throws UsageError where a file is there already. */
export function initCommand(words: readonly string[]): Outcome {
  const [folder = '.', ...more] = words;
  const wrong = folder.startsWith('-') ? folder : more[0];
  if (wrong !== undefined)
    throw new UsageError(`lgateway init takes one directory, and no word ${JSON.stringify(wrong)}`);
  mkdirSync(folder, { recursive: true });
  writeNewFiles([
    { path: join(folder, 'lgateway.toml'), text: CONFIG },
    { path: join(folder, 'app.lua'), text: SCRIPT },
    { path: join(folder, '.gitignore'), text: IGNORED },
  ]);
  const file = join(folder, 'lgateway.toml');
  return {
    output: `Written: ${file}, app.lua, .gitignore\nlgateway --config ${file} serves them\n`,
    faults: [],
  };
}
