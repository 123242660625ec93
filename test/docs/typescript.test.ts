/** The examples of docs/typescript.md that import something, and those of docs/embedding.md that assert something, are well-typed and hold. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

interface Example {
  readonly heading: string;
  readonly code: string;
}

function examplesOf(file: string): Example[] {
  const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8');
  return [...text.matchAll(/^## (.*)\n((?:(?!^## )[^\n]*\n)*)/gm)].flatMap(([, heading = '', section = '']) =>
    [...section.matchAll(/^```ts\n(import (?:(?!^```$)[^\n]*\n)*)```$/gm)].map(([, code = '']) => ({
      heading,
      code,
    })),
  );
}

// others of docs/embedding.md serve without end
const embedding = examplesOf('docs/embedding.md').filter(({ code }) => code.startsWith('import assert'));
const examples = [...examplesOf('docs/typescript.md'), ...embedding];

let folder: string;
before(() => {
  // inside the package, whose name its own files may import
  folder = mkdtempSync(join(PACKAGE_ROOT, 'dist/test/docs/typescript-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('The examples of docs/typescript.md and docs/embedding.md have no error of types, and what they assert holds', async () => {
  assert.ok(examples.length > 4 && embedding.length > 0, 'the pattern finds them');
  const files = examples.map(({ code }, index) => {
    const file = join(folder, `example-${index}.mts`);
    writeFileSync(file, `${code}\nexport {};\n`);
    return file;
  });
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    typeRoots: [join(PACKAGE_ROOT, 'node_modules/@types')],
    strict: true,
    skipLibCheck: true,
  });
  const wrong = ts.getPreEmitDiagnostics(program).map(({ messageText, file, start = 0 }) => {
    const line = file?.text.slice(start).split('\n', 1)[0] ?? '';
    return `${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  assert.deepEqual(wrong, []);
  program.emit();
  for (const [index, { heading }] of examples.entries()) {
    const url = pathToFileURL(join(folder, `example-${index}.mjs`)).href;
    await assert.doesNotReject(import(url), `the example below "${heading}"`);
  }
});
