/** Reads the README of an example: the line that serves it, and the lines that ask for it with their answers. */
import { readFileSync } from 'node:fs';

export interface ExampleReadme {
  /** Words after `npm start --`. */
  readonly serve: readonly string[];
  readonly steps: readonly ExampleStep[];
}

export interface ExampleStep {
  readonly command: string;
  /** What the command prints; `…` stands for anything. */
  readonly answer: string;
}

export function readExampleReadme(file: string): ExampleReadme {
  const blocks = [...readFileSync(file, 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(
    ([, language = '', text = '']) => ({ language, text }),
  );
  const [first, ...rest] = blocks;
  const serve = /^npm start -- (.*)\n$/.exec(first?.text ?? '')?.[1];
  if (serve === undefined) throw new Error(`${file} does not begin with a line "npm start -- …"`);
  const steps: ExampleStep[] = [];
  for (let i = 0; i < rest.length; i += 2) {
    const [command, answer] = [rest[i], rest[i + 1]];
    if (command?.language !== 'sh' || answer?.language !== 'text') {
      throw new Error(`${file}: a block of sh has to be followed by one of text`);
    }
    steps.push({ command: command.text.trimEnd(), answer: answer.text });
  }
  return { serve: serve.split(' '), steps };
}

/**
 * True when `text` is `answer`, in which each `…` stands for anything, and a line of it for any number of lines; a line
 * end at the end does not count.
 */
export function matchesAnswer(text: string, answer: string): boolean {
  const pattern = answer
    .trimEnd()
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replace(/\n…$/, '(?:\n.*)?')
    .replaceAll('\n…\n', '\n(?:.*\n)?')
    .replaceAll('…', '.*');
  return new RegExp(`^${pattern}$`, 's').test(text.trimEnd());
}
