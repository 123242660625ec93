/** Reads the README of an example: the lines that serve its scripts, and those that ask for them with their answers. */
import { readFileSync } from 'node:fs';

/** What one command serves, and what it answers. */
export interface ExampleServing {
  /** Words after `npm start --`. */
  readonly serve: readonly string[];
  readonly steps: readonly ExampleStep[];
}

export interface ExampleStep {
  readonly command: string;
  /** What the command prints; `…` stands for anything. */
  readonly answer: string;
}

export function readExampleReadme(file: string): readonly [ExampleServing, ...ExampleServing[]] {
  const blocks = [...readFileSync(file, 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(
    ([, language = '', text = '']) => ({ language, text }),
  );
  const servings: { serve: readonly string[]; steps: ExampleStep[] }[] = [];
  while (blocks.length > 0) {
    const [command, answer] = [blocks.shift(), blocks[0]];
    const [, words] = /^npm start -- (.*)\n$/.exec(command?.text ?? '') ?? [];
    if (words !== undefined) {
      servings.push({ serve: words.split(' '), steps: [] });
      continue;
    }
    if (command?.language !== 'sh' || answer?.language !== 'text')
      throw new Error(`${file}: a block of sh has to be followed by one of text`);
    servings.at(-1)?.steps.push({ command: command.text.trimEnd(), answer: answer.text });
    blocks.shift();
  }
  const [first, ...rest] = servings;
  if (first === undefined) throw new Error(`${file} has no line "npm start -- …"`);
  return [first, ...rest];
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
